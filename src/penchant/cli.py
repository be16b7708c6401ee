"""The command line: parse, validate, call, print. Exit codes: 0 done, 1 a check found something, 2 bad input or
configuration, 130 interrupted."""

from __future__ import annotations

import argparse
import errno
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from penchant.config import Config, describe, file_and_overrides, load_config
from penchant.digests import check_files
from penchant.errors import InputError, PenchantError, RunError
from penchant.files import write_atomically
from penchant.methods import METHODS, train
from penchant.pipelines import PIPELINES
from penchant.pipelines.agree_command import add_agree
from penchant.pipelines.judge_command import add_judge
from penchant.pipelines.weak_command import add_weak
from penchant.redact import hide_credentials
from penchant.studies.command import add_study
from penchant.types import PromptGroup, RunResult
from penchant.web.command import add_collect

DONE, FOUND, BAD, INTERRUPTED = 0, 1, 2, 130
TRAINABLE = METHODS | PIPELINES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(_WithoutCredentials("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("penchant").setLevel(logging.INFO)
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if any(text.startswith("-") for text in rest) or (rest and not hasattr(options, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # argparse takes positional arguments from one place only: `train dpo a.yaml --resume out=b`
        options.overrides += rest
    try:
        with _interruptible():
            code: int = options.run(options)
        sys.stdout.flush()
        return code
    except PenchantError as error:
        print(f"error: {hide_credentials(str(error))}", file=sys.stderr)
        return BAD
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `penchant ... | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        print(f"error: {_write_failure(error)}", file=sys.stderr)
        return BAD


class _WithoutCredentials(logging.Formatter):
    """Formats messages without the passwords of addresses, whoever wrote them."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_credentials(super().format(record))


def _write_failure(error: OSError) -> str:
    if error.filename:
        return f"cannot write {error.filename}: {error.strerror}"
    advice = " (free some space there, or in the folder for temporary files)" if error.errno == errno.ENOSPC else ""
    return f"cannot write to the output folder: {error.strerror}{advice}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: what runs is stopped, temporary files go, what is done is kept."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
        previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penchant", description="Align language models from preferences.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_MethodParser)
    _add_train(commands)
    _add_data(commands)
    _add_sample(commands)
    add_collect(commands)
    _add_report(commands)
    add_study(commands, _MethodParser)
    add_weak(commands, _MethodParser)
    add_judge(commands)
    add_agree(commands)
    return parser


# -- train --------------------------------------------------------------------------------------------------------


def _add_train(commands: Any) -> None:
    parser = commands.add_parser("train", help="train a model by one of the methods")
    methods = parser.add_subparsers(required=True, metavar="METHOD", dest="method", parser_class=_MethodParser)
    for name, config in TRAINABLE.items():
        summary = (config.__doc__ or "").strip().splitlines()[0]
        method = methods.add_parser(name, help=summary, description=summary)
        method.settings = config
        method.add_argument("config", nargs="?", metavar="CONFIG.yaml", help="settings; key=value changes them")
        method.add_argument("overrides", nargs="*", metavar="key=value", help="such as loss.beta=0.2 out=runs/b02")
        method.add_argument("--resume", action="store_true", help="continue the interrupted run in out")
        method.add_argument("--report", metavar="FILE.html", help="write a report when done")
        method.set_defaults(run=_train)


class _MethodParser(argparse.ArgumentParser):
    """Shows every setting with its default below the options, made only when help is asked for."""

    settings: Any = None

    def format_help(self) -> str:
        listing = f"\nsettings:\n{describe(self.settings)}\n" if self.settings else ""
        return super().format_help() + listing


def _train(options: argparse.Namespace) -> int:
    path, overrides = file_and_overrides(options.config, options.overrides)
    if options.resume and path is None:
        path = _saved_config(TRAINABLE[options.method], overrides)
    config = load_config(TRAINABLE[options.method], Path(path) if path else None, overrides)
    _import_early("penchant.train.session", "transformers.modeling_utils")
    result = train(config, resume=options.resume)
    if int(os.environ.get("RANK", "0")) > 0:  # one of several processes, and not the one that writes
        return DONE
    print(_summary(result))
    if options.report:
        from penchant.reports import report

        print(f"report: {report([result], options.report)}")
    if result.metrics["status"] == "interrupted":
        print(f"continue with: penchant train {options.method} --resume out={result.path}")
        return INTERRUPTED
    return DONE


def _import_early(*modules: str) -> None:
    """Import what will be needed, with the garbage collector off, and leave what that made out of its rounds.

    Modules stay; looking through them again and again while they come took a third of the time until a model is
    loaded. Only a process of our own may do so, hence here and not where they are used.
    """
    if "torch" in sys.modules:  # somebody calls `main` from a program of theirs
        return
    gc.disable()
    try:
        for module in modules:
            import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _saved_config(method: type[Config], overrides: Sequence[str]) -> str:
    """Return the file with the configuration of the run to resume.

    Raises:
        InputError: there is none, or it is damaged.
    """
    given = [text.removeprefix("out=").strip("'\"") for text in overrides if text.startswith("out=")]
    if not given:
        raise InputError("--resume needs the run directory: out=DIRECTORY")
    saved = Path(given[-1]).expanduser() / "config.yaml"
    if not saved.exists():
        raise InputError(f"nothing to resume in {given[-1]}: it holds no config.yaml")
    check_files(saved.parent, [saved.name])
    try:
        load_config(method, saved)
    except InputError as error:
        raise InputError(
            f"{saved} is no configuration of a run: put back a good copy, or start a new run. {error}"
        ) from error
    return str(saved)


def _summary(result: RunResult) -> str:
    metrics = result.metrics
    lines = [f"{result.method}: {metrics['status']} after {metrics['steps']} steps, {metrics['seconds']:.0f} s"]
    first, final = metrics["first"] or {}, metrics["final"] or {}
    if metrics["status"] == "interrupted" and final and final["step"] < metrics["steps"]:
        when = f"step {final['step']}" if final["step"] else "the start"
        lines.append(
            f"  not evaluated since {when}: what the last steps changed is not known (see evaluate.every_steps)"
        )
        final = {}
    for name in ("accuracy", "label_accuracy", "loss", "margin"):
        if name in final.get("held_out", {}):
            lines.append(
                f"  held-out {name.replace('_', ' ')}: {_change(first['held_out'][name], final['held_out'][name])}"
            )
    if "longest_wins" in final.get("held_out", {}):
        lines.append(f"  (the longer response wins: {_shown(final['held_out']['longest_wins'])})")
    if "samples" in final:
        policy, reference = final["samples"]["policy"], final["samples"]["reference"]
        if "reward" in policy:
            lines.append(f"  reward: {_change(reference['reward'], policy['reward'])}")
        lines.append(f"  KL to the reference: {_shown(policy['kl_nats'])} nats")
    lines += [f"  warning: {warning}" for warning in metrics["warnings"]]
    return "\n".join([*lines, f"run directory: {result.path}"])


def _shown(estimate: dict[str, Any]) -> str:
    from penchant.reports.words import recorded

    return recorded(estimate, decimals=3)


def _change(before: dict[str, Any], after: dict[str, Any]) -> str:
    return f"{_shown(before)} -> {_shown(after)}"


# -- data ---------------------------------------------------------------------------------------------------------


def _add_data(commands: Any) -> None:
    actions = commands.add_parser("data", help="look at data, or convert it").add_subparsers(
        required=True, metavar="ACTION"
    )
    check = actions.add_parser("check", help="say what a preference file holds and what is wrong with it")
    convert = actions.add_parser("convert", help="write any known layout as our JSONL")
    for parser in (check, convert):
        parser.add_argument("file", help="a file, or a hub id")
        parser.add_argument("--layout", help="the layout's name, if it is not to be found out")
        parser.add_argument("--split", default="train", help="of a hub data set (default: train)")
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help="the column that holds a field (prompt=problem), or FIELD=null to leave a column out; as data.columns",
        )
    check.add_argument("--model", help="a model whose tokenizer counts tokens and looks at the boundary")
    check.add_argument("--template", choices=("auto", "chat", "plain"), default="auto")
    check.add_argument("--trust-remote-code", action="store_true", help="run Python code that comes with the model")
    check.add_argument("--max-length", type=int, help="count rows that are longer, in tokens (needs --model)")
    check.add_argument("-o", "--out", help="write the report here too (.json for JSON, else text)")
    check.add_argument("--strict", action="store_true", help="exit with 1 if anything is worth a look")
    check.add_argument("--ties", choices=("error", "drop", "half"), default="error", help="as training would be told")
    check.add_argument("--bad-rows", choices=("error", "skip"), default="error", help="as training would be told")
    check.add_argument(
        "--overflow", choices=("error", "drop", "truncate_prompt"), default="error", help="as training would be told"
    )
    check.set_defaults(run=_check)
    convert.add_argument("-o", "--out", required=True, help="the file to write: .jsonl or .jsonl.gz")
    convert.add_argument("--ties", choices=("drop", "half"), default="half", help="half keeps ties (default)")
    convert.add_argument("--bad-rows", choices=("error", "skip"), default="error")
    convert.add_argument("--no-merge", action="store_true", help="keep rows with one prompt apart")
    convert.set_defaults(run=_convert)


def _check(options: argparse.Namespace) -> int:
    from penchant.data import check_preferences

    renderer = None
    if options.model:
        from penchant.models.load import load_renderer

        renderer = load_renderer(options.model, template=options.template, trust_remote_code=options.trust_remote_code)
    elif options.max_length:
        raise InputError("--max-length counts tokens: name a model whose tokenizer counts them, with --model")
    report = check_preferences(
        options.file,
        renderer=renderer,
        max_length=options.max_length,
        layout=options.layout,
        split=options.split,
        columns=_columns(options.column),
        ties=options.ties,
        bad_rows=options.bad_rows,
        overflow=options.overflow,
    )
    print(report.as_text())
    if options.out:
        out = Path(options.out)
        text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False) if out.suffix == ".json" else report.as_text()
        _write_text(out, text + "\n")
    if report.refusals:
        return BAD
    return FOUND if options.strict and report.problems else DONE


def _columns(pairs: Sequence[str]) -> dict[str, str | None]:
    """`FIELD=COLUMN` texts as the setting `data.columns`."""
    columns: dict[str, str | None] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not (field and equals and column):
            raise InputError(f"--column {pair}: expected FIELD=COLUMN, such as prompt=problem")
        columns[field] = None if column == "null" else column
    return columns


def _convert(options: argparse.Namespace) -> int:
    from penchant.data import read_preferences, write_groups

    if Path(options.out).exists() and Path(options.file).exists() and Path(options.out).samefile(options.file):
        raise InputError(f"{options.out} is the file to convert, which would be lost; write to another name")
    loaded = read_preferences(
        options.file,
        ties=options.ties,
        merge=not options.no_merge,
        bad_rows=options.bad_rows,
        layout=options.layout,
        split=options.split,
        columns=_columns(options.column),
    )
    write_groups(loaded.groups, options.out)
    print(f"{options.file} ({loaded.layout}): {len(loaded.groups)} prompts written to {options.out}")
    return DONE


def _write_text(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


# -- sample -------------------------------------------------------------------------------------------------------


def _add_sample(commands: Any) -> None:
    parser = commands.add_parser("sample", help="draw responses to prompts, so that someone can rank them")
    parser.add_argument("model", help="a built-in name, folder, GGUF file or hub id")
    parser.add_argument("prompts", help="prompts: text, one a line, or any data file")
    parser.add_argument("-o", "--out", required=True, help="the file to write: .jsonl or .jsonl.gz")
    parser.add_argument("-n", type=int, default=4, help="responses a prompt (default: 4)")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 takes the likeliest token (default: 1)")
    parser.add_argument("--max-new-tokens", type=int, default=64, help="where a response is cut (default: 64)")
    parser.add_argument("--top-k", type=int, default=0, help="0 for all tokens (default)")
    parser.add_argument("--top-p", type=float, default=1.0, help="1 for all tokens (default)")
    parser.add_argument("--seed", type=int, default=0, help="fixes the draws (default: 0)")
    parser.add_argument("--template", choices=("auto", "chat", "plain"), default="auto")
    parser.add_argument("--reward", help="score the responses and compare them: vader, module:function, http://address")
    parser.add_argument(
        "--pairs",
        choices=("all", "best-worst"),
        help="what to compare by --reward: every two responses (default), or the best with the worst",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    parser.add_argument("--trust-remote-code", action="store_true", help="run Python code that comes with the model")
    parser.set_defaults(run=_sample)


def _sample(options: argparse.Namespace) -> int:
    _import_early("penchant.models.load", "transformers.modeling_utils")
    from penchant.data import load_prompts, write_groups
    from penchant.data.write import check_name
    from penchant.engine.generate import Sampling
    from penchant.models.load import load_policy
    from penchant.rewards import best_worst_pairs, compare_by_score, load_reward, score_groups
    from penchant.train.progress import progress_bar

    out = Path(options.out)
    check_name(out)  # before the work, not after it
    if options.pairs and not options.reward:
        raise InputError("--pairs says which scored responses to compare: name what scores them, with --reward")
    asked = load_prompts(options.prompts)
    reward = load_reward(options.reward) if options.reward else None
    sampling = Sampling(
        options.n, options.temperature, options.max_new_tokens, options.top_k, options.top_p, options.seed
    )
    policy = load_policy(
        options.model,
        template=options.template,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )
    long = [
        group.source
        for group in asked
        if not policy.has_room(group.prompt, options.max_new_tokens, source=group.source)
    ]
    if long:
        more = f" (+{len(long) - 20} more)" if len(long) > 20 else ""
        raise InputError(
            f"{len(long)} prompts leave no room for {options.max_new_tokens} tokens in the model's context of "
            f"{policy.context}: {', '.join(long[:20])}{more}. Shorten them, or lower --max-new-tokens"
        )
    prompts = [group.prompt for group in asked]
    with progress_bar("sampling", len(prompts) * options.n, "samples") as advance:
        groups: list[PromptGroup] = policy.sample(prompts, sampling, progress=advance)
    if reward is not None:
        try:
            groups = score_groups(groups, reward)
        except PenchantError as error:  # drawing took long: what was drawn is kept
            unscored = out.with_name(f"unscored-{out.name}")
            write_groups(groups, unscored)
            raise RunError(f"{error}. The samples are in {unscored}, without scores") from error
        groups = best_worst_pairs(groups) if options.pairs == "best-worst" else compare_by_score(groups)
    write_groups(groups, out)
    print(f"{len(groups)} prompts with {options.n} responses each written to {out}")
    return DONE


# -- report -------------------------------------------------------------------------------------------------------


def _add_report(commands: Any) -> None:
    parser = commands.add_parser("report", help="make one HTML page (and PNGs) of some runs, or of a study")
    parser.add_argument("runs", nargs="+", help="run directories, or one study's folder")
    parser.add_argument("-o", "--out", default="report.html", help="the page to write (default: report.html)")
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from penchant.reports import report

    print(report(options.runs, options.out))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
