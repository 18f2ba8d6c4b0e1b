"""A diagnosis on the terminal, as JSON and as a page: all numbers, nothing unescaped."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from diagnose_models import analysis, change, diagnosis, layer, starved
from rich.cells import cell_len
from rich.console import Console

from bench.accuracy import Loss, LossVerdict
from bench.diagnose.findings import findings
from bench.diagnose.outcome import Diagnosis
from bench.metrics import Metric
from reports.diagnosis.files import write_page
from reports.diagnosis.html import html
from reports.diagnosis.json import diagnosis_to_json
from reports.diagnosis.terminal import terminal

HOSTILE = '<script>alert(1)</script>"&\x1b[31m\u202e'


def text(found: Diagnosis, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(terminal(found))
    return out.getvalue()


def healthy() -> Diagnosis:
    layers = analysis(layer(0, 55.0), layer(1, 40.0))
    return diagnosis(
        loss=change(-0.1, 0.6),
        judgement=LossVerdict(Loss.NONE_SHOWN, "no loss shown, at most 0.7 points"),
        analysis=layers,
        first_fall=None,
        findings=findings(layers),
        treatments=diagnosis().treatments[:2],
        recommended=None,
        plan_line=None,
        advice=("int8 needs no remedy: no loss against fp32 is shown.",),
    )


def test_everything_is_said_on_the_terminal() -> None:
    shown = text(diagnosis())
    for words in (
        "−25.00 points [−26.00, −24.00]",
        "a loss is shown",
        "first appears at layer 1, CONV_2D layer1",
        "channel 3 (128x) of 16",
        "Borne out: accuracy comes back with cross-layer equalisation",
        "97.70 %",
        "restores",
        "needs `train`",
        "disturbed",
        'files.int8 = "out/diagnosis/m/equalised.tflite"',
    ):
        assert words in shown.replace("\n", " ").replace("  ", " ") or words in shown, words


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_and_no_number_is_cut(width: int) -> None:
    shown = text(diagnosis(), width)
    lines = [line for line in shown.splitlines() if "files.int8" not in line]
    assert max(map(cell_len, lines)) <= width
    table = shown[: shown.index("Outlier channels")]
    assert not re.search(r"\d…|…\s*%", table)
    assert "restores" in shown
    assert "not tried" in re.sub(r"\s+", " ", shown)


def test_without_a_loss_it_says_so_and_shows_the_layers() -> None:
    shown = text(healthy())
    assert "no loss shown" in shown
    assert "−0.10 points [−0.70, +0.50]" in shown
    assert "layer1" in shown
    assert "verdict" not in shown
    assert "first appears" not in shown
    page = html(healthy())
    assert "No loss shown" in page
    assert 'id="remedies"' not in page


def test_a_long_model_is_shortened_on_the_terminal_and_whole_on_the_page() -> None:
    layers = analysis(*(layer(i, 40.0) for i in range(90)), starved(90, 5.0))
    found = diagnosis(analysis=layers, first_fall=90, findings=findings(layers))
    assert "89 layers where nothing stands out are on the page" in text(found)
    assert html(found).count("<td>CONV_2D</td>") >= 90


def test_the_page_has_every_chart_and_its_numbers() -> None:
    page = html(diagnosis())
    for key in ("remedies", "snr", "channels", "ranges"):
        assert f'id="caption-{key}"' in page
    assert page.count("<svg") == 4
    assert "512" in page  # width of the outlier channel, in the table beside its chart
    assert "mathdefault" not in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = html(diagnosis())
    assert "default-src 'none'" in unescape(page)
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_names_are_data() -> None:
    base = diagnosis()
    layers = tuple(replace(item, name=HOSTILE, op=HOSTILE) for item in base.analysis.layers)
    found = replace(
        base,
        model=HOSTILE,
        holdout=HOSTILE,
        analysis=replace(base.analysis, layers=layers),
        findings=tuple(replace(f, summary=HOSTILE, evidence=(HOSTILE,)) for f in base.findings),
        treatments=tuple(
            replace(row, title=HOSTILE, reason=HOSTILE, tool=HOSTILE) for row in base.treatments
        ),
        advice=(HOSTILE,),
        remarks=(HOSTILE,),
        plan_line=HOSTILE,
        provenance={HOSTILE: HOSTILE},
    )
    page, shown = html(found), text(found)
    assert "<script" not in page
    assert "\x1b" not in page + shown
    assert "\u202e" not in page + shown


def test_json_holds_every_number_and_is_strict() -> None:
    document = json.loads(json.dumps(diagnosis_to_json(diagnosis()), allow_nan=False))
    assert document["schema"] == "edgebench-diagnosis"
    assert document["recommended"] == "equalised"
    assert document["treatments"][2]["against_fp32"]["interval"]["kind"] == "paired"
    assert document["treatments"][5]["accuracy"] is None
    assert document["findings"][0]["kind"] == "OUTLIER_CHANNELS"
    assert document["analysis"]["layers"][1]["outliers"] == [{"channel": 3, "ratio": 128.0}]


def test_a_metric_of_its_own_unit_has_no_percent() -> None:
    found = diagnosis(metric=Metric("mae", higher_is_better=False))
    shown = text(found)
    assert "MAE" in shown
    assert "points" not in shown
    assert "change vs fp32" in html(found)


def test_layers_without_any_number_draw_no_chart() -> None:
    unknown = {"variant_name": None, "dtype": None, "representable": None, "snr_db": None}
    layers = analysis(layer(0, channel_snr_db=None, channel_widths=(), **unknown))
    page = html(diagnosis(analysis=layers, first_fall=None, findings=()))
    assert 'id="caption-snr"' not in page
    assert 'id="caption-ranges"' not in page


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    path = write_page(diagnosis(), tmp_path / "new" / "m.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in path.parent.iterdir()] == ["m.html"]
