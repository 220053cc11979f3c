"""The alert rules, tried by Prometheus' own promtool: each fires when it should, and none where all is well."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests import needs

PROMETHEUS = Path(__file__).parents[1] / "ops" / "prometheus"

QUIET = {
    **{
        f'vestnik_up{{service="{service}", part="{part}"}}': "1x90"
        for service in ("web", "control", "dispatcher")
        for part in ("database", "queue", "cache")
    },
    "vestnik_tick_timestamp_seconds": "0+60x90",
    'vestnik_breaker_open{trouble="unavailable"}': "0x90",
    'vestnik_letters{outcome="sent"}': "1000x90",
    'vestnik_letters{outcome="failed"}': "3x90",
    "vestnik_oldest_due_letter_seconds": "0x90",
    'vestnik_processes{part="control"}': "1x90",
    'vestnik_processes{part="bulk"}': "2x90",
    "vestnik_workers_died": "2x90",
    'vestnik_queue_age_seconds{queue="control"}': "0x90",
    'vestnik_dead_jobs{queue="control"}': "5x90",
    'vestnik_attempt_seconds_count{outcome="accepted"}': "0x90",
    'vestnik_attempt_seconds_count{outcome="temporary"}': "0x90",
}
"""What is told minute by minute where nothing is sent and nobody looks at a page: of promtool's notation."""

OLDEST = "vestnik_oldest_due_letter_seconds"
ACCEPTED = 'vestnik_attempt_seconds_count{outcome="accepted"}'
FAILED = 'vestnik_attempt_seconds_count{outcome="temporary"}'
BREAKER = 'vestnik_breaker_open{trouble="unavailable"}'


def told(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [needs.program("promtool", "prometheus"), *words], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("words", [("rules", "alerts.yml"), ("config", "prometheus.yml")])
def test_prometheus_can_read_them(words: tuple[str, str]) -> None:
    kind, name = words
    answer = told("check", kind, str(PROMETHEUS / name))
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("changed", "firing"),
    [
        pytest.param({}, {1: "", 5: "", 60: ""}, id="a quiet installation"),
        pytest.param(
            {"vestnik_tick_timestamp_seconds": "_ _ 120+60x88"}, {1: "", 2: "", 3: "", 20: ""}, id="the first start"
        ),
        pytest.param(
            {f'vestnik_up{{service="web", part="{part}"}}': "1x10 stale" for part in ("database", "queue", "cache")},
            {11: "", 14: "VestnikIsSilent", 60: "VestnikIsSilent"},
            id="the web is gone",
        ),
        pytest.param(
            {'vestnik_up{service="web", part="database"}': "1x10 0x80"},
            {11: "", 13: "VestnikPartAway"},
            id="the database does not answer the web",
        ),
        pytest.param(
            {"vestnik_tick_timestamp_seconds": "0+60x10 600x80"}, {13: "", 17: "VestnikNoTick"}, id="no tick any more"
        ),
        pytest.param(
            {"vestnik_tick_timestamp_seconds": "0+60x10 stale"}, {12: "", 14: "VestnikNoTick"}, id="nor known of one"
        ),
        pytest.param(
            {'vestnik_processes{part="bulk"}': "2x10 0x80"}, {11: "", 13: "VestnikPartMissing"}, id="nobody sends"
        ),
        pytest.param(
            {"vestnik_workers_died": "2x10 3x80"}, {10: "", 11: "VestnikWorkerDied", 30: ""}, id="a worker died"
        ),
        pytest.param({BREAKER: "0x10 1x80"}, {15: "", 17: "VestnikBreakerOpen"}, id="the breaker is open"),
        pytest.param({OLDEST: "0+60x90", ACCEPTED: "0+60x90"}, {60: ""}, id="a long run"),
        pytest.param(
            {OLDEST: "0+60x90", ACCEPTED: "0+60x10 600x80"}, {19: "", 30: "VestnikLettersWait"}, id="none goes any more"
        ),
        pytest.param({OLDEST: "0+60x90", ACCEPTED: "_x90"}, {30: "VestnikLettersWait"}, id="nobody tells of attempts"),
        pytest.param({OLDEST: "0+60x90", BREAKER: "1x90"}, {30: "VestnikBreakerOpen"}, id="none goes, for a reason"),
        pytest.param(
            {'vestnik_queue_age_seconds{queue="control"}': "0x10 90x80"},
            {12: "", 14: "VestnikQueueWaits"},
            id="jobs of control wait",
        ),
        pytest.param(
            {'vestnik_dead_jobs{queue="control"}': "5x10 6x80"},
            {10: "", 11: "VestnikDeadJobs", 40: ""},
            id="a job dies",
        ),
        pytest.param(
            {'vestnik_letters{outcome="failed"}': "3x10 300x80"},
            {10: "", 12: "VestnikDeadLetters", 40: ""},
            id="letters die",
        ),
        pytest.param({'vestnik_letters{outcome="failed"}': "3x10 13x80"}, {12: ""}, id="ten letters die"),
        pytest.param({ACCEPTED: "0+10x90", FAILED: "0+5x90"}, {30: "VestnikAttemptsFail"}, id="attempts fail"),
        pytest.param({ACCEPTED: "0+100x90", FAILED: "0+5x90"}, {30: ""}, id="few attempts fail"),
        pytest.param({FAILED: "0x10 1x2 2x4 3x80"}, {12: "", 20: "", 24: ""}, id="one letter is put off thrice"),
        pytest.param(
            {
                'vestnik_http_requests_total{room="blog", status="200"}': "0+100x90",
                'vestnik_http_requests_total{room="runs", status="500"}': "0x10 0+5x80",
            },
            {10: "", 20: "VestnikPagesFail"},
            id="pages fail",
        ),
    ],
)
def test_alerts_fire_when_they_should(changed: dict[str, str], firing: dict[int, str], tmp_path: Path) -> None:
    series = [{"series": name, "values": values} for name, values in (QUIET | changed).items()]
    questions = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name else [],
        }
        for minute, name in firing.items()
    ]
    asked = {
        "rule_files": [str(PROMETHEUS / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": questions}],
    }
    (tmp_path / "asked.yml").write_text(yaml.safe_dump(asked))

    answer = told("test", "rules", str(tmp_path / "asked.yml"))

    assert answer.returncode == 0, answer.stdout + answer.stderr
