"""The part of a report that says whether models are really stochastic."""

from collections.abc import Sequence

from tfvrnn.evaluation.latents import GIVEN
from tfvrnn.reporting import page
from tfvrnn.reporting.charts import curves_chart

NAMES = {
    "prior": "prior",
    "posterior": "posterior",
    "shuffled": "another video's",
    "mean": "at their mean",
    "zeroed": "zero",
}
MEASURES = (("psnr", "PSNR, dB"), ("ssim", "SSIM"), ("lpips", "LPIPS"))
CALIBRATION = (("coverage", "coverage"), ("spread_to_error", "spread / error"))
TO_READ = (
    "First compare the posterior's latents, which know the true future, with another video's "
    "latents. If both are equally good, the model ignores its latents. The further they are apart, "
    "the more the latents say about the future. A posterior far above the prior means that the "
    "future was open, or that the prior has not learned it. Latents at their mean may beat the "
    "prior, as an average is near to every future. Then check whether the truth could be one of "
    "the futures. Coverage is the share of pixels whose truth lies within the range of the "
    "futures. Spread / error is their deviation divided by the error of their mean. Below the "
    "ideal, the futures are too similar. The ranks show where the truth lies among the futures. "
    "An even histogram is ideal. It is high at both ends if the futures are too similar, in the "
    "middle if they differ too much, at low ranks if they are too bright, and at high ranks if "
    "they are too dark. Pixels where the truth and all futures are equal do not count. A model's "
    "frames are means without the noise of a pixel, so blur also lowers coverage and spread. "
    "Therefore compare models with each other first."
)


def stochastic_section(results: Sequence[tuple[str, dict]]) -> str:
    """Make HTML of results (name of the run, figures), or '' if there is nothing to show."""
    told = [(name, found) for name, f in results if (found := f.get("given_latents"))]
    spread = [(name, found) for name, f in results if (found := f.get("calibration"))]
    if not told and not spread:
        return ""
    return (
        "<h2>Is it really stochastic?</h2>"
        f"<p>{_of_what(told, spread)} {TO_READ}</p>"
        f"{_told_table(told)}<div class='charts'>{_told_charts(told)}</div>"
        f"{_spread_table(spread)}<div class='charts'>{_spread_charts(spread)}</div>"
    )


def _of_what(told, spread) -> str:
    text = ""
    if told:
        text += (
            f"Futures with given latents: the first {told[0][1]['videos']} videos, with one future "
            "for each kind of latents, and the mean over all futures for the prior. "
        )
    if spread:
        found = spread[0][1]
        text += f"The spread: {found['videos']} videos, {found['samples']} futures of each."
    return text


def _told_table(told) -> str:
    if not told:
        return ""
    kinds = ("prior", *GIVEN)
    heads = ["run", *(f"PSNR, {NAMES[kind]}" for kind in kinds), "posterior - another video's"]
    rows = [
        [
            name,
            *(_interval(found["psnr"][kind]) for kind in kinds),
            _interval(found["psnr"]["shuffled"]["below_posterior"]),
        ]
        for name, found in told
    ]
    return page.html_table(heads, rows)


def _spread_table(spread) -> str:
    if not spread:
        return ""
    ideal = spread[0][1]
    heads = ["run", *(f"{title}, ideal {ideal[key]['ideal']:.2f}" for key, title in CALIBRATION)]
    rows = [[name, *(_interval(found[key]) for key, _ in CALIBRATION)] for name, found in spread]
    return page.html_table(heads, rows)


def _interval(figure) -> str:
    return page.with_interval(figure, ".2f")


def _told_charts(told) -> str:
    charts = []
    for name, found in told:
        for key, title in MEASURES:
            if key in found:
                lines = [(NAMES[kind], {"curve": of["curve"]}) for kind, of in found[key].items()]
                charts.append(curves_chart(f"{title}: {_short(name)}", lines))
    return "".join(charts)


def _spread_charts(spread) -> str:
    if not spread:
        return ""
    charts, first = [], spread[0][1]
    for key, title in CALIBRATION:
        lines = [(name, {"curve": found[key]["curve"]}) for name, found in spread]
        flat = {"curve": [first[key]["ideal"]] * len(lines[0][1]["curve"])}
        charts.append(curves_chart(title, [*lines, ("ideal", flat)]))
    lines = [
        (
            name,
            {"curve": [share / found["ranks"]["ideal"] for share in found["ranks"]["histogram"]]},
        )
        for name, found in spread
    ]
    lines.append(("ideal", {"curve": [1.0] * len(lines[0][1]["curve"])}))
    charts.append(
        curves_chart("share of pixels / even share", lines, "rank of the truth, low to high")
    )
    lines = [(name, {"curve": found["ranks"]["curve"]}) for name, found in spread]
    charts.append(curves_chart("unevenness of ranks, ideal 0", lines))
    return "".join(charts)


def _short(name: str, length: int = 30) -> str:
    return name if len(name) <= length else f"…{name[1 - length :]}"
