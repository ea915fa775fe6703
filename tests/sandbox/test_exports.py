"""Storage exports: tables, columns, what is new since the last, and whole files only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cio_pipelines.sandbox import SandboxError, SandboxOptions, SandboxServer

from .conftest import identify, person, send, track_client

SURE = {
    "failed": 0,
    "dropped": 0,
    "bounced": 0,
    "attempted": 0,
    "delivered": 1,
    "opened": 1,
    "machine_opened": 1,
    "clicked": 1,
    "machine_clicked": 0,
    "converted": 0,
    "unsubscribed": 0,
    "spammed": 0,
}
CAMPAIGN = {"campaign_id": 5, "action_id": 12}

COLUMNS = {
    "deliveries": "workspace_id delivery_id internal_customer_id subject_id event_id delivery_type "
    "campaign_id action_id newsletter_id content_id trigger_id created_at transactional_message_id seq_num",
    "metrics": "event_id workspace_id delivery_id metric reason link_id link_url created_at seq_num",
    "subjects": "workspace_id subject_name internal_customer_id campaign_type campaign_id event_id "
    "trigger_id started_campaign_at created_at seq_num",
    "outputs": "workspace_id output_id subject_name output_type action_id explanation delivery_id draft "
    "link_tracked split_test_index delay_ends_at branch_index manual_segment_id add_to_manual_segment "
    "created_at seq_num",
    "people": "workspace_id customer_id internal_customer_id deleted suppressed created_at updated_at "
    "email_addr",
    "attributes": "workspace_id internal_customer_id attribute_name attribute_value timestamp",
    "campaigns": "workspace_id campaign_id name created_at updated_at version topic_names",
    "broadcasts": "workspace_id broadcast_id name created_at updated_at topic_names",
}
NEWER = "proxied prefetched machine user_agent email_client inbox_domain inbox_provider mx_host"

Rows = dict[str, list[dict[str, Any]]]


def export(server: SandboxServer, folder: Path, version: Any = 4) -> Rows:
    """Rows by table of one export."""
    told = server.export(folder, version)
    tables = {table: pq.read_table(path).to_pylist() for table, path in told["files"].items()}
    assert {table: len(rows) for table, rows in tables.items()} == told["rows"]
    return tables


def named(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(row["customer_id"]): row for row in rows}


def test_files_have_the_names_and_columns_of_a_storage_export(server: SandboxServer, tmp_path: Path) -> None:
    with track_client(server) as track:
        send(track, identify("a", email="a@example.com"))
    server.send(campaign=CAMPAIGN, mix=SURE)
    server.send(broadcast={"broadcast_id": 2, "trigger_id": 1}, mix=SURE)
    told = server.export(tmp_path / "new" / "folder")
    assert set(told["files"]) == set(COLUMNS)
    for table, path in told["files"].items():
        assert re.fullmatch(rf"{table}_v4_1_\d{{18}}\.parquet", Path(path).name)
        assert set(pq.read_schema(path).names) == set(COLUMNS[table].split())
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {
        Path(path).name for path in told["files"].values()
    }


def test_version_5_has_more_columns_of_metrics_and_no_outputs(server: SandboxServer, tmp_path: Path) -> None:
    with track_client(server) as track:
        send(track, identify("a", email="a@example.com"))
    server.send(campaign=CAMPAIGN, mix=SURE)
    told = server.export(tmp_path, 5)
    assert "outputs" not in told["files"]
    assert all("_v5_" in path for path in told["files"].values())
    assert set(pq.read_schema(told["files"]["metrics"]).names) == {
        *COLUMNS["metrics"].split(),
        *NEWER.split(),
    }
    opened = [r for r in pq.read_table(told["files"]["metrics"]).to_pylist() if r["metric"] == "opened"]
    assert {row["inbox_domain"] for row in opened} == {"example.com"}
    assert len(opened) == 2


def test_export_tells_what_happened_and_joins(server: SandboxServer, tmp_path: Path) -> None:
    with track_client(server) as track:
        send(track, identify("a", 1_700_000_000, email="a@example.com", n=1.5, tags=["x"]))
    server.send(campaign=CAMPAIGN, mix=SURE, at=1_750_000_000)
    server.send(transactional={"transactional_message_id": 4}, mix={**SURE, "bounced": 1})
    cio_id = server.people()["a"]["cio_id"]
    tables = export(server, tmp_path)
    campaign, transactional = tables["deliveries"]
    assert (campaign["campaign_id"], campaign["action_id"], campaign["delivery_type"]) == (5, 12, "email")
    assert 1_750_000_000 <= campaign["created_at"].timestamp() < 1_750_003_600
    assert (transactional["transactional_message_id"], transactional["campaign_id"]) == (4, None)
    assert {row["internal_customer_id"] for row in tables["deliveries"]} == {cio_id}
    (subject,), (output,) = tables["subjects"], tables["outputs"]
    assert subject["subject_name"] == output["subject_name"] == campaign["subject_id"]
    assert output["delivery_id"] == campaign["delivery_id"]
    events = {record["event_id"]: record["event"] for record in server.reported_events()}
    assert {row["event_id"] for row in tables["metrics"]} == set(events)
    for row in tables["metrics"]:
        event = events[row["event_id"]]
        assert (row["metric"], row["delivery_id"]) == (event["metric"], event["data"]["delivery_id"])
        assert row["created_at"].timestamp() == event["timestamp"]
    clicked = next(row for row in tables["metrics"] if row["metric"] == "clicked")
    assert clicked["link_url"].startswith("https://example.com/")
    assert [row["reason"] for row in tables["metrics"] if row["metric"] == "bounced"] != [None]
    attributes = {row["attribute_name"]: row for row in tables["attributes"]}
    assert {name: row["attribute_value"] for name, row in attributes.items()} == {
        "email": "a@example.com",
        "n": "1.5",
        "tags": '["x"]',
    }
    assert attributes["n"]["timestamp"].timestamp() == 1_700_000_000
    assert (tables["people"][0]["customer_id"], tables["people"][0]["email_addr"]) == ("a", "a@example.com")
    assert tables["campaigns"][0]["name"] == "Campaign 5"


def test_next_export_holds_what_changed_since(server: SandboxServer, tmp_path: Path) -> None:
    with track_client(server) as track:
        send(track, *(identify(name, email=f"{name}@example.com", n=1) for name in "abcd"))
        server.send(campaign=CAMPAIGN, mix=SURE, ids=["a", "c"])
        first = export(server, tmp_path)
        assert server.export(tmp_path) == {"files": {}, "rows": {}}
        send(track, identify("b", n=None), person("delete", "c"), person("suppress", "d"), identify("e"))
        server.send(newsletter={"newsletter_id": 1}, mix=SURE, ids=["a"])
        second = export(server, tmp_path)
    assert set(named(first["people"])) == set("abcd")
    people = named(second["people"])
    assert set(people) == set("bcde")
    flags = {name: (row["deleted"], row["suppressed"]) for name, row in people.items()}
    assert flags == {"b": (False, False), "c": (True, False), "d": (True, True), "e": (False, False)}
    values = {row["attribute_name"]: row["attribute_value"] for row in second["attributes"]}
    assert values == {"email": "b@example.com", "n": None}
    assert "campaigns" not in second
    assert [row["newsletter_id"] for row in second["deliveries"]] == [1]
    known = {row["event_id"] for row in first["metrics"]}
    assert not known & {row["event_id"] for row in second["metrics"]}
    for table in ("deliveries", "metrics"):
        newest = max(row["seq_num"] for row in first[table])
        assert newest < min(row["seq_num"] for row in second[table])
    assert server.export(tmp_path) == {"files": {}, "rows": {}}


def test_first_export_lacks_who_was_deleted_and_anonymises_their_messages(
    server: SandboxServer, tmp_path: Path
) -> None:
    with track_client(server) as track:
        send(track, identify("a", email="a@example.com"), identify("b", email="b@example.com"))
        server.send(campaign=CAMPAIGN, mix=SURE)
        send(track, person("delete", "a"))
    tables = export(server, tmp_path)
    assert set(named(tables["people"])) == {"b"}
    assert [row["internal_customer_id"] is None for row in tables["deliveries"]] == [True, False]
    assert [row["internal_customer_id"] is None for row in tables["subjects"]] == [True, False]


def test_export_that_cannot_be_written_is_refused_and_nothing_is_lost(
    server: SandboxServer, tmp_path: Path
) -> None:
    with track_client(server) as track:
        send(track, identify("a", email="a@example.com"))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SandboxError, match=r"cannot export to .*: check the folder"):
        server.export(tmp_path / "file")
    with pytest.raises(SandboxError, match="version 6"):
        server.export(tmp_path, 6)  # pyright: ignore[reportArgumentType]
    assert set(named(export(server, tmp_path)["people"])) == {"a"}


def test_what_was_exported_is_known_after_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(database=tmp_path / "sandbox.db", environment_id=77)
    with SandboxServer(options) as server, track_client(server) as track:
        send(track, identify("a"), identify("b"), identify("c"))
        assert set(named(export(server, tmp_path)["people"])) == {"a", "b", "c"}
        send(track, person("delete", "b"))
        server.process.kill()
        server.process.wait()
    with SandboxServer(options) as server, track_client(server) as track:
        send(track, identify("c", n=1))
        told = server.export(tmp_path)
        assert all("_v4_77_" in path for path in told["files"].values())
        rows = named(pq.read_table(told["files"]["people"]).to_pylist())
        assert {name: row["deleted"] for name, row in rows.items()} == {"b": True, "c": False}


def test_many_rows_are_written_in_parts(server: SandboxServer, tmp_path: Path) -> None:
    with track_client(server) as track:
        for start in range(0, 6_000, 2_000):
            batch = range(start, start + 2_000)
            send(track, *(identify(str(n), **{f"a{k}": k for k in range(10)}) for n in batch))
    told = server.export(tmp_path)
    assert told["rows"] == {"people": 6_000, "attributes": 60_000}
    written = pq.ParquetFile(told["files"]["attributes"])
    assert (written.metadata.num_rows, written.metadata.num_row_groups) == (60_000, 2)
