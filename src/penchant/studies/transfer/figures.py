"""Figures of a study of transfer: own domain against others, each domain, and temperatures."""

from __future__ import annotations

from matplotlib.ticker import FixedLocator, MaxNLocator

from penchant.metrics.catalogue import metric
from penchant.reports.kit.canvas import (
    MUTED,
    Picture,
    blank,
    draw_line,
    draw_points,
    error_arms,
    export,
    run_style,
    style,
)
from penchant.reports.kit.text import short
from penchant.studies.core.methods import swept_name
from penchant.studies.transfer.summary import TransferSummary

METHOD_OFFSET = 0.11  # between methods at one place, so that intervals do not lie on each other


def carry_picture(study: TransferSummary) -> Picture:
    """Draw the change on the other domains against that on the own one: a point per method, nearest temperature 1."""
    with style():
        figure, axes = blank(5.6, 3.9)
        # below this line a method does harm away from home
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        # on this line all of the gain carries over
        axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for index, method in enumerate(study.methods):
            # the colour goes by the method's place among all of them, so one that was not measured shifts no other's
            carry_over = method.at_home
            if carry_over is None:
                continue
            color, _, marker = run_style(index)
            axes.errorbar(
                [carry_over.own_change.value],
                [carry_over.other_change.value],
                xerr=error_arms([carry_over.own_change]),
                yerr=error_arms([carry_over.other_change]),
                color=color,
                marker=marker,
                markersize=6,
                elinewidth=1.0,
                linestyle="none",
            )
        axes.set_xlabel("change on its own domain", loc="right")
        axes.set_ylabel("change on the others")
        names = [swept_name(method) for method in study.methods]
        return export(figure, f"What carries over, at temperature {study.headline_temperature:g}", names)


def domain_picture(study: TransferSummary) -> Picture:
    """Draw the change on each domain at the temperature nearest 1, the own domain first."""
    domains = [domain.name for domain in study.domains]
    methods = study.methods
    with style():
        figure, axes = blank(5.6, 3.9)
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        for index, method in enumerate(methods):
            cells = [cell for cell in method.cells if cell.temperature == study.headline_temperature]
            if cells:
                x = [domains.index(cell.domain) + METHOD_OFFSET * (index - (len(methods) - 1) / 2) for cell in cells]
                # no line, since domains have no order
                draw_points(axes, x, [cell.change for cell in cells], index)
        axes.xaxis.set_major_locator(FixedLocator(range(len(domains))))
        axes.set_xticklabels([f" {short(name, 18)}" for name in domains])
        axes.set_xlim(-0.6, len(domains) - 0.4)
        axes.set_ylabel(f"change of the mean {metric('true_reward').label}")
        names = [swept_name(method) for method in methods]
        return export(figure, f"Domain by domain, at temperature {study.headline_temperature:g}", names)


def temperature_picture(study: TransferSummary) -> Picture:
    """Draw the change on the other domains against the temperature, a line per method."""
    with style():
        figure, axes = blank(5.6, 3.9)
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        for index, method in enumerate(study.methods):
            if method.carry_overs:
                temperatures = [point.temperature for point in method.carry_overs]
                draw_line(axes, temperatures, [point.other_change for point in method.carry_overs], index)
        # ticks where samples were drawn: between them nothing was measured
        axes.xaxis.set_major_locator(FixedLocator(study.temperatures))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel("temperature", loc="right")
        axes.set_ylabel("change on the others")
        names = [swept_name(method) for method in study.methods]
        return export(figure, "The change on other domains, over temperatures", names)
