"""Classes of `transformers` and `peft` by name, for annotations. Nothing is imported: that would take seconds.

An annotation is never evaluated here, and a type checker reads the text of an alias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import peft
    import peft.tuners.lora
    import transformers
    import transformers.cache_utils
    import transformers.modeling_outputs
    import transformers.models.auto.auto_factory

PreTrainedModel: TypeAlias = "transformers.PreTrainedModel"
PreTrainedConfig: TypeAlias = "transformers.PreTrainedConfig"
Tokenizer: TypeAlias = "transformers.PreTrainedTokenizerBase"
AutoClass: TypeAlias = "type[transformers.models.auto.auto_factory._BaseAutoModelClass]"
"""A class that opens a folder as a network of the right kind, such as `AutoModelForCausalLM`."""
Cache: TypeAlias = "transformers.cache_utils.Cache"
"""Keys and values of the tokens so far, layer by layer."""
CausalLMOutput: TypeAlias = "transformers.modeling_outputs.CausalLMOutputWithPast"
PeftModel: TypeAlias = "peft.PeftModel"
"""A network with adapters injected, not merged."""
LoraLayer: TypeAlias = "peft.tuners.lora.LoraLayer"
