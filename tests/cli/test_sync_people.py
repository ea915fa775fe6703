"""`cio sync people` as people and cron use it."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from cio_pipelines.sandbox import SandboxServer
from tests.cli.conftest import Cli

COUNTS = ("extracted", "unchanged", "planned", "accepted", "rejected", "due", "requests", "bytes")


def wanted(cli: Cli) -> set[str]:
    """Ids of living people of the mart who take messages and break no limit."""
    rows = cli.execute(
        "select person_id from analytics.customerio_people where deleted_at is null and not opted_out "
        "and person_id not in (select person_id from customerio_sync.dead_letters)"
    )
    return {row[0] for row in rows}


def identified(sandbox: SandboxServer) -> dict[str, dict[str, object]]:
    return {name: person for name, person in sandbox.people().items() if not person["suppressed"]}


def test_the_json_line_adds_up_and_the_second_sync_makes_no_request(cli: Cli, sandbox: SandboxServer) -> None:
    first = cli("sync", "people", "--full", "--json")

    assert first.code == 0, first.err
    line = first.line
    assert line["planned"] == line["accepted"] + line["rejected"] + line["due"]
    assert line["extracted"] == 3_000
    assert line["rejected"] == line["quarantined"] == sum(r["people"] for r in line["refusals"]) > 0
    assert set(COUNTS) <= line.keys()
    assert {"plan", "send", "commit", "total"} == line["seconds"].keys()
    assert 50 < line["peak_rss_mb"] < 5_000
    assert identified(sandbox).keys() == wanted(cli)
    for text in ("@example.com", "Alice", "Иванова"):
        assert text not in first.out + first.err

    second = cli("sync", "people", "--full", "--json").line

    assert {name: second[name] for name in COUNTS} == {
        **dict.fromkeys(COUNTS, 0),
        "extracted": 3_000,
        "unchanged": line["accepted"],
    }
    assert sandbox.stats()["operations_by_action"]["person.identify"]["accepted"] == len(wanted(cli))


def test_a_dry_run_shows_the_plan_masked_and_sends_nothing(cli: Cli, sandbox: SandboxServer) -> None:
    ended = cli("sync", "people", "--full", "--dry-run", "--json")

    assert ended.code == 0, ended.err
    assert ended.line["status"] == "dry_run"
    assert ended.line["planned"] > 2_900
    assert ended.line["operations"]["identify"] > 2_800
    assert "u0000001" in ended.out or "u00000" in ended.out
    assert "@example.com" not in ended.out
    assert sandbox.stats()["requests_by_path"].get("/api/v2/batch", 0) == 0


def test_refusals_over_the_limit_exit_with_1_and_are_told(cli: Cli, sandbox: SandboxServer) -> None:
    sandbox.set_faults([{"kind": "reject", "every": 10, "reason": "invalid", "field": "attributes.plan"}])

    ended = cli("sync", "people", "--full", "--json")

    assert ended.code == 1
    line = ended.line
    assert line["failed_checks"] == ["rejection_rate"]
    refused = Counter(
        (operation["action"], operation["id"])
        for operation in sandbox.operations()
        if operation["outcome"] == "rejected"
    )
    assert len(refused) > 290
    logged = "select operation, person_id from customerio_sync.sync_log where entry = 'rejected'"
    assert Counter(cli.execute(logged)) == refused
    assert line["rejected"] - line["quarantined"] <= len(refused)
    assert {"by": "customer.io", "field": "attributes.plan", "reason": "invalid"}.items() <= max(
        line["refusals"], key=lambda refusal: refusal["people"]
    ).items()
    assert "attributes.plan invalid" in ended.out
    assert "cio dead-letters list" in ended.err


@pytest.mark.parametrize("bodies", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_killed_while_sending_the_same_command_ends_with_everybody_right(
    cli: Cli, sandbox: SandboxServer, bodies: int
) -> None:
    # one body at a time and slow: many points to be killed at, with a flush of the ledger after each
    cli.environment |= {
        "CUSTOMERIO_MAX_IN_FLIGHT": "1",
        "CIO_FLUSH_PEOPLE": "1",
    }
    sandbox.set_faults([{"kind": "slow", "seconds": 0.7, "path": "/api/v2/batch"}])
    process = cli.start("sync", "people", "--full")
    deadline = time.monotonic() + 90
    while sandbox.stats()["requests_by_path"].get("/api/v2/batch", 0) < bodies:
        assert time.monotonic() < deadline, "the push did not begin"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults([])

    again = cli("sync", "people", "--full", "--json")

    assert again.code == 0, again.err
    assert identified(sandbox).keys() == wanted(cli)
    times = Counter(
        operation["id"] for operation in sandbox.operations() if operation["action"] == "identify"
    )
    # one body was in flight since the last flush, at most a good thousand people
    repeated = [person for person, count in times.items() if count > 1]
    assert max(times.values()) <= 2
    assert len(repeated) <= 1_500


@pytest.mark.parametrize(
    ("number", "deaf"),
    [(signal.SIGINT, False), pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow)],
    ids=["Ctrl-C", "SIGTERM in the background"],
)
def test_an_interrupted_sync_commits_what_was_answered(
    cli: Cli, sandbox: SandboxServer, number: signal.Signals, deaf: bool
) -> None:
    cli.environment |= {"CUSTOMERIO_MAX_IN_FLIGHT": "1"}
    sandbox.set_faults([{"kind": "slow", "seconds": 1.0, "path": "/api/v2/batch", "after": 1}])
    process = cli.start("sync", "people", "--full", deaf=deaf)
    deadline = time.monotonic() + 90
    while sandbox.stats()["requests_by_path"].get("/api/v2/batch", 0) < 3:
        assert time.monotonic() < deadline, "the push did not begin"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)

    ended = cli.finish(process, 30)

    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    assert "run the same command again" in ended.err
    committed = cli.execute("select count(*) from customerio_sync.synced_people")[0][0]
    assert committed > 0
    sandbox.set_faults([])
    again = cli("sync", "people", "--full", "--json")
    assert again.code == 0, again.err
    assert again.line["accepted"] + committed >= len(identified(sandbox))
    assert identified(sandbox).keys() == wanted(cli)


@pytest.mark.slow
def test_a_stopped_plan_is_told_in_one_line_with_the_flag_that_lets_it_through(
    cli: Cli, sandbox: SandboxServer
) -> None:
    cli.environment |= {"CIO_GUARD_SUPPRESSED_SHARE": "0", "CIO_GUARD_SUPPRESSED_PEOPLE": "0"}

    stopped = cli("sync", "people", "--full", "--json")

    assert stopped.code == 1
    assert (stopped.line["status"], stopped.line["failed_checks"]) == ("blocked", ["suppressed_people"])
    complaints = [line for line in stopped.err.splitlines() if line.startswith("cio:")]
    assert len(complaints) == 1
    assert "nothing was sent" in complaints[0]
    assert "--allow-suppressions" in complaints[0]
    assert identified(sandbox) == {}
    assert cli("sync", "people", "--full", "--allow-suppressions", "--json").code == 0


def test_a_missing_table_is_named_with_what_to_do(cli: Cli) -> None:
    cli.execute("drop table app.orders")

    ended = cli("sync", "people", "--json")

    assert ended.code == 1
    assert "app.orders" in ended.err
    assert "WAREHOUSE_URL" in ended.err
    assert "Traceback" not in ended.err
    assert ended.line["success"] is False


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CUSTOMERIO_SITE_ID": "nobody", "CUSTOMERIO_TRACK_API_KEY": "wrong-secret"}, "Site ID"),
        pytest.param({"CUSTOMERIO_REGION": "eu"}, "CUSTOMERIO_REGION=us", marks=pytest.mark.slow),
        pytest.param(
            {"CUSTOMERIO_TRACK_URL": "http://127.0.0.1:9"}, "host is reachable", marks=pytest.mark.slow
        ),
    ],
    ids=["wrong credentials", "wrong region", "unreachable host"],
)
def test_who_cannot_be_talked_to_is_told_and_nothing_is_lost(
    cli: Cli, sandbox: SandboxServer, environment: dict[str, str], words: str
) -> None:
    cli.environment |= environment

    ended = cli("sync", "people", "--full", "--json")

    assert ended.code == 1
    assert words in ended.err
    assert "wrong-secret" not in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert ended.line["accepted"] == 0
    assert ended.line["due"] > 2_900
    assert identified(sandbox) == {}


def test_a_locked_warehouse_is_told_with_who_holds_it(cli: Cli) -> None:
    import duckdb

    with duckdb.connect(str(cli.database)):
        ended = cli("sync", "people", "--json")

    assert ended.code == 1
    assert "is locked" in ended.err
    assert "close the other program" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--partition", "yesterday"], {}, "write it like"),
        (["--partition", "1999-01-01"], {}, "CIO_PARTITIONS_START"),
        (["--range", "2026-02-02"], {}, "three dots"),
        (["--range", "2026-02-02...2026-01-01"], {}, "before it starts"),
        (["--full", "--partition", "2026-02-02"], {}, "only one of"),
        (["--full", "--approve", "x"], {}, "takes over the days"),
        (["--fuller"], {}, "No such option"),
        ([], {"CUSTOMERIO_REQUESTS_PER_SECOND": "fast"}, "CUSTOMERIO_REQUESTS_PER_SECOND"),
        ([], {"CUSTOMERIO_SITEID": "x"}, "Did you mean CUSTOMERIO_SITE_ID"),
        ([], {"CIO_ENV": "prod"}, "CUSTOMERIO_SITE_ID is not set"),
        ([], {"WAREHOUSE_URL": "oracle://nowhere"}, "WAREHOUSE_URL"),
    ],
)
def test_wrong_use_and_wrong_settings_exit_with_2(
    cli: Cli, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    cli.environment |= environment

    ended = cli("sync", "people", *arguments)

    assert ended.code == 2, ended.err
    assert words in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_a_plan_is_read_approved_and_sent_once(cli: Cli, sandbox: SandboxServer) -> None:
    cli.environment |= {"CIO_GUARD_SUPPRESSED_SHARE": "0", "CIO_GUARD_SUPPRESSED_PEOPLE": "0"}

    dry = cli("sync", "people", "--full", "--dry-run", "--json")

    assert dry.code == 1
    plan = dry.line
    assert {guard["guard"]: guard["verdict"] for guard in plan["review"]["guards"]} == {
        "changed_people": "within",
        "mapping_change": "within",
        "suppressed_people": "over",
    }
    assert plan["review"]["estimate"]["requests"] > 1
    assert plan["erasure"]["status"] == "dry_run"
    command = f"cio sync people --approve {plan['run_id']}"
    assert command in dry.out
    assert command in dry.err
    assert "✗" in dry.out
    assert identified(sandbox) == {}

    sent = cli("sync", "people", "--approve", plan["run_id"], "--json")

    assert sent.code == 0, sent.err
    assert (sent.line["planned"], sent.line["operations"]) == (plan["planned"], plan["operations"])
    assert sent.line["review"]["approval"] == {
        "plan": plan["run_id"],
        "same": True,
        "new": 0,
        "gone": 0,
        "different": 0,
    }
    assert sent.line["requests"] == plan["review"]["estimate"]["requests"]
    assert sent.line["bytes"] == pytest.approx(plan["review"]["estimate"]["bytes"], rel=0.01)
    assert sent.line["erasure"]["accepted"] == plan["erasure"]["planned"] > 0
    assert identified(sandbox).keys() == wanted(cli)

    received = sandbox.stats()["requests"]
    again = cli("sync", "people", "--approve", plan["run_id"])

    assert again.code == 1
    assert f"carried out by run {sent.line['run_id']}" in again.err
    assert "Traceback" not in again.err
    assert sandbox.stats()["requests"] == received


@pytest.mark.slow
def test_a_plan_of_a_day_is_refused_when_the_data_moved_on_and_the_new_one_can_be_approved(
    cli: Cli, sandbox: SandboxServer
) -> None:
    newest = cli.execute("select max(updated_at)::date::varchar from app.users")[0][0]
    dry = cli("sync", "people", "--partition", newest, "--dry-run", "--json").line
    assert dry["planned"] > 0
    cli.execute(
        "update app.users set plan = 'enterprise', first_name = 'Zoe' where user_id = (select min(user_id) "
        f"from app.users where updated_at >= '{newest}' and deleted_at is null and marketing_opt_in)"
    )

    refused = cli("sync", "people", "--approve", dry["run_id"], "--json")

    assert refused.code == 1
    assert refused.line["failed_checks"] == ["approved_plan"]
    assert refused.line["status"] == "blocked"
    assert "Nothing was sent" in refused.err
    assert f"cio sync people --approve {refused.line['run_id']}" in refused.err
    assert sandbox.stats()["requests_by_path"].get("/api/v2/batch", 0) == 0

    sent = cli("sync", "people", "--approve", refused.line["run_id"], "--json")

    assert sent.code == 0, sent.err
    assert sent.line["planned"] == refused.line["planned"]
    assert newest in sent.out


@pytest.mark.slow
def test_an_erasure_that_a_guard_stopped_is_approved_by_itself(cli: Cli, sandbox: SandboxServer) -> None:
    cli.environment |= {"CIO_GUARD_ERASED_SHARE": "0", "CIO_GUARD_ERASED_PEOPLE": "0"}
    stopped = cli("sync", "people", "--full", "--json")
    assert stopped.code == 1
    assert stopped.line["failed_checks"] == ["erased_people"]
    command = f"--approve {stopped.line['run_id']}/erasure"
    assert command in stopped.err
    assert command in stopped.out

    erased = cli("sync", "people", "--approve", f"{stopped.line['run_id']}/erasure", "--json")

    assert erased.code == 0, erased.err
    assert erased.line["erasure"]["accepted"] == stopped.line["erasure"]["planned"] > 0
    assert "planned" not in erased.line  # nobody was compared
