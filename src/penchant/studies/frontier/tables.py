"""Fill the tables and facts of a frontier: what each method reached and cost, what was equal, every run and point."""

from __future__ import annotations

from penchant.metrics.catalogue import metric
from penchant.models.builtin import described
from penchant.reports.kit.study_page import machine_words
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, duration, format_share, gibibytes, listing, number, percent, recorded
from penchant.studies.core.methods import BEST_OF_N, setting_words
from penchant.studies.core.settings import ROLLOUT_METHODS
from penchant.studies.frontier.summary import CurvePoint, FrontierSummary, MethodSummary
from penchant.studies.frontier.words import common_nats


def efficiencies(study: FrontierSummary) -> Table:
    """Return a row for each method: what it reaches where all are compared, and at each matched KL, or why not."""
    with_seeds, common = len(study.seeds) > 1, study.matched.common
    common_head = f"at {common_nats(study)}" if common else "as a whole"
    heads = (common_head, *(f"at {kl:g}" for kl in study.matched.kl_nats), "one setting alone")
    heads += ("spread over seeds",) if with_seeds else ()
    caption = (
        "Efficiency: the share of the gain in reward that is possible at a policy's own KL, interpolated between "
        "evaluations on both sides of each matched KL. The first column is the mean where all methods that can be "
        "compared have it."
    )
    rows = tuple((method.label, *_of_method(method, with_seeds)) for method in study.methods)
    return Table(caption, ("method", *heads), rows)


def costs(study: FrontierSummary) -> Table:
    """Return a row for each method: its time, steps, memory, samples and runs."""
    heads = (
        "training per run",
        "optimizer steps per run",
        "before training",
        "peak memory",
        "samples drawn",
        "tokens learned from",
        "runs",
    )
    caption = f"Costs are means over a method's runs that ended, peak memory is the most of any.{_shared(study)}"
    return Table(caption, ("method", *heads), tuple((method.label, *_of_cost(method)) for method in study.methods))


def _shared(study: FrontierSummary) -> str:
    """Say whether runs were measured side by side; empty where it is not known."""
    # Times of runs that share cores are not those of a run alone, and readers compare them with their own.
    jobs = study.cost.jobs
    if jobs is None:
        return ""
    if jobs == 1:
        return " One run at a time had the machine's cores to itself."
    return f" Up to {jobs} runs at once shared the machine's cores, so each took longer than it would have alone."


def _of_method(method: MethodSummary, with_seeds: bool) -> list[str]:
    # A wide range of these means that the setting has to be found first, which costs runs.
    setting_efficiencies = [setting.efficiency for setting in method.by_value if setting.efficiency is not None]
    cells = [format_share(method.efficiency)]
    # The reason in place of a share says between which KLs an evaluation is missing (decision 17).
    cells += [format_share(row.share) if row.share else row.reason for row in method.matched]
    if len(setting_efficiencies) > 1:
        cells.append(f"{percent(min(setting_efficiencies))} to {percent(max(setting_efficiencies))}")
    else:
        cells.append(DASH)
    if with_seeds:
        deviation = method.seed_deviation
        cells.append(DASH if deviation is None else f"±{number(100 * deviation, 1)} points")
    return cells


def _of_cost(method: MethodSummary) -> list[str]:
    cost = method.cost
    if cost is None:  # Best-of-N trains nothing: it pays with each answer
        return [DASH, DASH, DASH, DASH, "N per answer" if method.name == BEST_OF_N else DASH, DASH, DASH]
    # Runs that did not end stand beside the means that they are not in.
    runs = method.runs
    ends = ((runs.failed, "failed"), (runs.runaway, "ran away"), (runs.unfinished, "unfinished"))
    bad = [f"{many} {word}" for many, word in ends if many]
    return [
        duration(cost.training_seconds),
        number(cost.optimizer_steps, 0) if cost.optimizer_steps else DASH,
        duration(cost.preparation_seconds) if cost.preparation_seconds else DASH,
        gibibytes(cost.peak_memory_bytes, 2),
        number(cost.samples_drawn, 0),
        number(cost.trained_tokens, 0) if cost.trained_tokens else DASH,
        f"{runs.all}{f' ({listing(bad)})' if bad else ''}",
    ]


def budget(study: FrontierSummary) -> str:
    """Return sentences on what is equal for all methods and what is not."""
    config = study.config
    shared = f"{config['optimizer']}, clip {config['clip']:g}"
    rates = [
        f"{method.label} {' / '.join(f'{rate:g}' for rate in rates)}"
        for method in study.trained
        if (rates := rates_of(study, method.name))
    ]
    return (
        f"Equal for all: start, prompts, evaluation prompts and seeds ({shared}). {' '.join(_budget_sentences(study))} "
        f"Learning rates: {listing(rates)}. Training time leaves evaluations out; “before training” is sampling and "
        "ranking the comparisons and, for PPO, fitting the reward model."
    )


def _budget_sentences(study: FrontierSummary) -> list[str]:
    config, search = study.config, study.config.get("search")
    sentences = []
    if search is not None:
        # Per seed, as `search.least` and `search.most` count them.
        runs = {method.runs.all // len(study.seeds) for method in study.trained}
        run_range = f"{min(runs)} runs" if len(runs) == 1 else f"{min(runs)} to {max(runs)} runs"
        sentences.append(
            f"Every method that trains has {run_range} of {count(search['steps'], 'optimizer step')} for each seed, "
            f"the search of its learning rate among them{', and the search is not finished' * study.search.open}."
        )
    # Equal comparisons are not equal steps: DPO learns from pairs, the others from distinct responses.
    offline = [method.label for method in study.trained if method.name not in ROLLOUT_METHODS]
    if offline and search is not None:
        learn = "learns" if len(offline) == 1 else "learn"
        sentences.append(f"{listing(offline)} {learn} from the same comparisons, as often as these steps go over them.")
        sentences.append(f"A step is over {config['batch_size']} items: {'; '.join(_parts(study))}.")
    elif offline:
        goes = "goes" if len(offline) == 1 else "go"
        sentences.append(f"{listing(offline)} {goes} {_times(config['epochs'])} over the same comparisons.")
        if len(parts := _parts(study)) > 1:
            sentences.append(
                f"Optimizer steps differ all the same: {'; '.join(parts)} once per pass, so few winners mean few steps."
            )
    for method in study.trained:
        if method.name in ROLLOUT_METHODS and config.get(method.name) and method.cost:
            sweep, rounds = config[method.name], round(method.cost.steps)
            sample_count = rounds * sweep["prompts_per_step"] * sweep["samples_per_prompt"]
            sentences.append(
                f"{method.label} draws {number(sample_count, 0)} samples of its own in {count(rounds, 'round')} and "
                f"goes {_times(sweep.get('updates', 1))} over each."
            )
    return sentences


def rates_of(study: FrontierSummary, method: str) -> list[float]:
    """Return the learning rates of a method's runs, ascending; those of its settings where there are no others."""
    # A search gives rates that no setting has, so the runs are asked first.
    rates = {run.rate for run in study.runs if run.method == method and run.rate is not None}
    configured = (study.config.get(method) or {}).get("learning_rate", [])
    return sorted(rates) or ([configured] if isinstance(configured, float | int) else list(configured))


def _parts(study: FrontierSummary) -> list[str]:
    """Say what each of the methods that learn from comparisons counts as one item of a step."""
    units = {
        "comparison": ("dpo",),
        "distinct winner": ("preferred_ft", "unlikelihood"),
        "distinct winner and loser": ("kto",),
    }
    labels_by_unit = {
        unit: [method.label for method in study.trained if method.name in names] for unit, names in units.items()
    }
    return [
        f"{listing(labels)} learn{'s' * (len(labels) == 1)} from each {unit}"
        for unit, labels in labels_by_unit.items()
        if labels
    ]


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def runs(study: FrontierSummary) -> Table:
    """Return a table of every run as it ended."""
    rows = []
    for run in study.runs:
        last = run.points[-1] if run.points else None
        rows.append(
            (
                run_name(study, run.method, run.value, run.rate),
                str(run.seed),
                run.status if not run.evaluations_lost else f"{run.status}, evaluations lost",
                recorded(last.reward if last else None),
                recorded(last.kl_nats if last else None),
                DASH if run.seconds is None else duration(run.seconds),
                run.folder,
            )
        )
    reward, kl = metric("reward"), metric("kl_nats")
    ends = (f"{reward.label} at the end", f"{kl.label} at the end, {kl.unit}")
    columns = ("run", "seed", "status", *ends, "seconds in all", "folder")
    return Table("Every run, as it ended.", columns, tuple(rows))


def points(study: FrontierSummary) -> Table:
    """Return a table of the points that the plot draws."""
    rows = [
        (
            run_name(study, method.name, point.value, point.rate),
            DASH if point.step is None else f"{point.step:,}",
            recorded(point.kl_nats),
            recorded(point.reward) + _fewer(study, point),
        )
        for method in study.methods
        for point in method.points
    ]
    columns = ("point", "step", metric("kl_nats").column, metric("reward").label)
    return Table("What the plot draws; means over seeds.", columns, tuple(rows))


def _fewer(study: FrontierSummary, point: CurvePoint) -> str:
    """Return a note for a point that not every seed has; empty for others."""
    seeds = point.seeds  # None for Best-of-N, which has none
    return f" ({seeds} of {count(len(study.seeds), 'seed')})" if seeds and seeds < len(study.seeds) else ""


def run_name(study: FrontierSummary, name: str, value: float | None, rate: float | None) -> str:
    """Return a method's label with the settings of a run, a point or a column."""
    if name == BEST_OF_N and value is not None:
        return f"Best-of-{value:g}"
    method = study.method(name)
    words = setting_words(method.setting, value, rate) if method else ""
    return f"{study.label(name)} ({words})" if words else study.label(name)


def facts(study: FrontierSummary) -> list[tuple[str, str]]:
    """Return what was compared, on what, as (label, text)."""
    config, prompts = study.config, study.prompts
    machine = study.provenance.get("machine")
    accelerator = machine.get("accelerator") if isinstance(machine, dict) else None
    where = f"{machine_words(study.provenance)}{f', {accelerator}' if accelerator else ''}"
    facts = [
        ("Task", "gain true reward at a low KL"),
        ("Model", described(str(config["model"]["name"])) + ("" if config["sft"] is None else ", fine-tuned first")),
        (metric("true_reward").column, str(config["reward"])),
        ("Prompts", f"{number(prompts.train or 0, 0)} to train on, {prompts.eval} others to measure on"),
        ("Responses", f"up to {count(config['max_new_tokens'], 'token')}, at temperature 1, from the whole vocabulary"),
        ("Seeds", listing(map(str, study.seeds))),
        ("Machine", where),
        ("Time", f"{duration(study.cost.seconds)} of computing, all stages and runs together.{_shared(study)}"),
    ]
    accuracies = [model.accuracy for model in study.reward_models if model.accuracy]
    if accuracies:
        accuracy_text = listing(map(format_share, accuracies))
        facts.insert(4, ("Reward model", f"right on {accuracy_text} of the comparisons of unseen prompts"))
    return facts
