"""The papers that a method and its loss are from, as BibTeX. The losses' own docstrings have the equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A paper on arXiv.

    Attributes:
        key: of its BibTeX entry. authors: as BibTeX has them.
    """

    key: str
    arxiv: str
    title: str
    authors: str
    year: int

    def bibtex(self) -> str:
        """Return its entry."""
        return (
            f"@misc{{{self.key},\n  title = {{{{{self.title}}}}},\n  author = {{{self.authors}}},\n"
            f"  year = {{{self.year}}},\n  eprint = {{{self.arxiv}}},\n  archivePrefix = {{arXiv}}\n}}"
        )


DPO = Paper(
    "rafailov2023dpo",
    "2305.18290",
    "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
    "Rafailov, Rafael and Sharma, Archit and Mitchell, Eric and Ermon, Stefano and Manning, Christopher D. and "
    "Finn, Chelsea",
    2023,
)
IPO = Paper(
    "azar2023ipo",
    "2310.12036",
    "A General Theoretical Paradigm to Understand Learning from Human Preferences",
    "Azar, Mohammad Gheshlaghi and others",
    2023,
)
F_DPO = Paper(
    "wang2023fdpo",
    "2309.16240",
    "Beyond Reverse KL: Generalizing Direct Preference Optimization with Diverse Divergence Constraints",
    "Wang, Chaoqi and others",
    2023,
)
APO = Paper(
    "doosterlinck2024apo",
    "2408.06266",
    "Anchored Preference Optimization and Contrastive Revisions: Addressing Underspecification in Alignment",
    "D'Oosterlinck, Karel and others",
    2024,
)
AOT = Paper(
    "melnyk2024aot",
    "2406.05882",
    "Distributional Preference Alignment of LLMs via Optimal Transport",
    "Melnyk, Igor and others",
    2024,
)
RLOO = Paper(
    "ahmadian2024rloo",
    "2402.14740",
    "Back to Basics: Revisiting REINFORCE Style Optimization for Learning from Human Feedback in LLMs",
    "Ahmadian, Arash and others",
    2024,
)
SPIN = Paper(
    "chen2024spin",
    "2401.01335",
    "Self-Play Fine-Tuning Converts Weak Language Models to Strong Language Models",
    "Chen, Zixiang and others",
    2024,
)
ITERATIVE = Paper(
    "xiong2024iterative",
    "2312.11456",
    "Iterative Preference Learning from Human Feedback: Bridging Theory and Practice for RLHF under KL-Constraint",
    "Xiong, Wei and others",
    2024,
)
SELF_REWARDING = Paper(
    "yuan2024self",
    "2401.10020",
    "Self-Rewarding Language Models",
    "Yuan, Weizhe and others",
    2024,
)
GRPO = Paper(
    "shao2024grpo",
    "2402.03300",
    "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models",
    "Shao, Zhihong and others",
    2024,
)
PPO = Paper(
    "schulman2017ppo",
    "1707.06347",
    "Proximal Policy Optimization Algorithms",
    "Schulman, John and Wolski, Filip and Dhariwal, Prafulla and Radford, Alec and Klimov, Oleg",
    2017,
)
ZIEGLER = Paper(
    "ziegler2019preferences",
    "1909.08593",
    "Fine-Tuning Language Models from Human Preferences",
    "Ziegler, Daniel M. and others",
    2019,
)
LORA = Paper(
    "hu2021lora", "2106.09685", "LoRA: Low-Rank Adaptation of Large Language Models", "Hu, Edward J. and others", 2021
)

LOSSES: Mapping[str, tuple[Paper, ...]] = {
    "sigmoid": (DPO,),
    "plackett_luce": (DPO,),
    "robust": (
        Paper(
            "chowdhury2024robust",
            "2403.00409",
            "Provably Robust DPO: Aligning Language Models with Noisy Feedback",
            "Chowdhury, Sayak Ray and Kini, Anush and Natarajan, Nagarajan",
            2024,
        ),
    ),
    "ipo": (IPO,),
    "ipo_mean": (IPO,),
    "hinge": (
        Paper(
            "zhao2023slic",
            "2305.10425",
            "SLiC-HF: Sequence Likelihood Calibration with Human Feedback",
            "Zhao, Yao and others",
            2023,
        ),
        Paper(
            "liu2023rso",
            "2309.06657",
            "Statistical Rejection Sampling Improves Preference Optimization",
            "Liu, Tianqi and others",
            2023,
        ),
    ),
    "sigmoid_norm": (
        Paper(
            "lambert2024tulu3",
            "2411.15124",
            "Tulu 3: Pushing Frontiers in Open Language Model Post-Training",
            "Lambert, Nathan and others",
            2024,
        ),
    ),
    "exo_pair": (
        Paper(
            "ji2024exo",
            "2402.00856",
            "Towards Efficient Exact Optimization of Language Model Alignment",
            "Ji, Haozhe and others",
            2024,
        ),
    ),
    "nca_pair": (
        Paper(
            "chen2024nca",
            "2402.05369",
            "Noise Contrastive Alignment of Language Models with Explicit Rewards",
            "Chen, Huayu and others",
            2024,
        ),
    ),
    "sppo_hard": (
        Paper(
            "wu2024sppo",
            "2405.00675",
            "Self-Play Preference Optimization for Language Model Alignment",
            "Wu, Yue and others",
            2024,
        ),
    ),
    "bco_pair": (
        Paper(
            "jung2024bco",
            "2404.04656",
            "Binary Classifier Optimization for Large Language Model Alignment",
            "Jung, Seungjae and others",
            2024,
        ),
    ),
    "apo_zero": (APO,),
    "apo_down": (APO,),
    "discopop": (
        Paper(
            "lu2024discopop",
            "2406.08414",
            "Discovering Preference Optimization Algorithms with and for Large Language Models",
            "Lu, Chris and others",
            2024,
        ),
    ),
    "forward_kl": (F_DPO,),
    "jensen_shannon": (F_DPO,),
    "alpha_divergence": (F_DPO,),
    "wpo": (
        Paper(
            "zhou2024wpo",
            "2406.11827",
            "WPO: Enhancing RLHF with Weighted Preference Optimization",
            "Zhou, Wenxuan and others",
            2024,
        ),
    ),
    "ld_dpo": (
        Paper(
            "liu2024lddpo",
            "2409.06411",
            "Length Desensitization in Direct Preference Optimization",
            "Liu, Wei and others",
            2024,
        ),
    ),
    "aot": (AOT,),
    "aot_unpaired": (AOT,),
    "simpo": (
        Paper(
            "meng2024simpo",
            "2405.14734",
            "SimPO: Simple Preference Optimization with a Reference-Free Reward",
            "Meng, Yu and Xia, Mengzhou and Chen, Danqi",
            2024,
        ),
    ),
    "orpo": (
        Paper(
            "hong2024orpo",
            "2403.07691",
            "ORPO: Monolithic Preference Optimization without Reference Model",
            "Hong, Jiwoo and Lee, Noah and Thorne, James",
            2024,
        ),
    ),
}
"""By a loss's name."""

METHODS: Mapping[str, tuple[Paper, ...]] = {
    "dpo": (),  # its loss has the paper
    "sft": (),
    "preferred_ft": (DPO,),
    "kto": (
        Paper(
            "ethayarajh2024kto",
            "2402.01306",
            "KTO: Model Alignment as Prospect Theoretic Optimization",
            "Ethayarajh, Kawin and Xu, Winnie and Muennighoff, Niklas and Jurafsky, Dan and Kiela, Douwe",
            2024,
        ),
    ),
    "unlikelihood": (
        Paper(
            "welleck2019unlikelihood",
            "1908.04319",
            "Neural Text Generation with Unlikelihood Training",
            "Welleck, Sean and others",
            2019,
        ),
        DPO,
    ),
    "reward_model": (ZIEGLER,),
    "ppo": (PPO, ZIEGLER),
    "ppo_gt": (PPO, ZIEGLER, DPO),
    "rloo": (RLOO,),
    "grpo": (GRPO,),
    "online_rlhf": (ZIEGLER, PPO),
    "iterative": (ITERATIVE, DPO),
    "spin": (SPIN, DPO),
    "self_rewarding": (SELF_REWARDING, DPO),
}
"""By a method's name."""


def papers_of(method: str, loss: object, *, lora: bool = False) -> list[Paper]:
    """Return the papers that a run used, each once.

    Args:
        loss: as a configuration holds it: a name, a mapping with `name`, or one with the terms of a sum in `losses`.
        lora: whether adapters trained.
    """
    found_papers = [*METHODS.get(method, ()), *_of_loss(loss), *((LORA,) if lora else ())]
    return list(dict.fromkeys(found_papers))


def _of_loss(loss: object) -> list[Paper]:
    if isinstance(loss, str):
        return list(LOSSES.get(loss, ()))
    if not isinstance(loss, Mapping):
        return []
    terms = loss.get("losses")
    inner = [paper for term in terms for paper in _of_loss(term)] if isinstance(terms, (list, tuple)) else []
    return [*LOSSES.get(str(loss.get("name")), ()), *inner]
