"""The arithmetic of `voice bench`, and its table."""

import pytest

from support.runs import failed, run, target
from voice_cli.bench.figures import Measured, figure, shown, shown_summary, spread, summary, tsv


@pytest.mark.parametrize(
    ("values", "median", "q1", "q3", "p95"),
    [
        ([5.0], 5.0, 5.0, 5.0, 5.0),
        ([3.0, 1.0, None, 2.0], 2.0, 1.5, 2.5, 3.0),
        ([1.0, 2.0], 1.5, 1.25, 1.75, 2.0),
        ([1.0, 2.0, 3.0, 4.0, 100.0], 3.0, 2.0, 4.0, 100.0),
        ([float(value) for value in range(1, 101)], 50.5, 25.75, 75.25, 95.0),
        ([float(value) for value in range(1, 21)], 10.5, 5.75, 15.25, 19.0),
    ],
)
def test_median_quartiles_and_95th_percentile(values, median, q1, q3, p95):
    assert spread(values) == (median, q1, q3, p95)


def test_missing_measurements_are_none():
    assert spread([]) is None
    assert spread([None]) is None
    assert figure(run(ttfa_ms=None), "added_ms") is None
    assert figure(run(ttfb_ms=None), "added_ms") is None


def test_added_excludes_server_time_and_leading_silence():
    assert figure(run(), "added_ms") == 50.0
    assert figure(run(leading_silence_ms=None), "added_ms") == 60.0


def test_only_complete_runs_count():
    measured = Measured(target(), [run(), failed(), run(ttfa_ms=230.0), failed(8, "it broke off", "ask again")])
    assert summary(measured)["ttfa_ms"] == (220.0, 215.0, 225.0, 230.0)
    assert shown_summary(measured)[0] == ("220", "215–225")
    assert measured.exit_code == 8
    assert measured.error == "2 of 4 failed: it broke off (ask again)"
    assert measured.typical.report["ttfa_ms"] == 210.0
    assert Measured(target(), []).exit_code == 0
    assert Measured(target(), []).typical is None
    assert Measured(target(), [run(ttfa_ms=None, ttfb_ms=2.0), run(ttfa_ms=None, ttfb_ms=1.0)]).typical is not None


def test_requests_that_were_sent_again_are_counted():
    measured = Measured(target(), [run(retries=2), run(retries=0), failed(), run(retries=1)])
    assert measured.retries == 3
    assert measured.remarks == [measured.error, "3 requests were sent again, and the times include it"]
    assert Measured(target(), [run(retries=1)]).remarks == ["1 request was sent again, and the times include it"]
    assert Measured(target(), [run()]).remarks == []


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (203.4, "ms", "203"), (50.04, "ms", "50.0"), (0.04, "ms", "0.0"), (0.0029, "", "0.0029"), (1.4177, "", "1.42"),
        (0.0, "", "0"), (2.0, "", "2"),
    ],
)  # fmt: skip
def test_figures_as_text(value, unit, text):
    assert shown(value, unit) == text


def test_plain_table_has_dashes_for_missing_measurements():
    lines = tsv([Measured(target("a\tb"), [run(ttfa_ms=None)]), Measured(target(), [failed(message="a\nb")])])
    rows = [line.split("\t") for line in lines]
    assert {len(row) for row in rows} == {30}
    first, second = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    assert (first["target"], first["complete"], first["ttfa_ms"], first["added_ms_p95"]) == ("a\\x09b", "1", "-", "-")
    assert [first[f"ttfb_ms_{name}"] for name in ("q1", "q3", "p95")] == ["150", "150", "150"]
    assert (first["ttfb_ms"], first["underruns"], first["retries"], first["error"]) == ("150", "1", "0", "-")
    assert (second["complete"], second["ttfb_ms"], second["error"]) == ("0", "-", "1 of 1 failed: a\\x0ab")
