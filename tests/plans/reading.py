"""Reading plans: what each of them does with tables that grow."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.plans.scale import GROWS, Connection

Plan = dict[str, Any]

PLACE = re.compile(r"%\((\w+)\)s|%s")
VERB = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
READS = {"Seq Scan", "Index Scan", "Index Only Scan"}
STREAMS = {*READS, "Limit", "LockRows", "Nested Loop", "Result", "ProjectSet", "Subquery Scan", "Append", "Unique"}
LISTS = ("CTE Scan", "Function Scan")
FILE = "incoming_clients"
"""A file of clients that is imported: as long as people's files are."""
BY_CLIENT = "delivery_once_per_client"

SMALL_PAGES = 200
BEGINS = """
    SELECT i.indrelid::regclass::text, coalesce(a.attname, '')
    FROM pg_index i LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attnum > 0
    WHERE i.indexrelid = %(index)s::regclass
"""
"""The table of an index, and the column that it begins with: "" for an expression."""
LARGE = "SELECT it FROM unnest(%(tables)s::text[]) AS it WHERE pg_relation_size(it::regclass) > %(pages)s * 8192"

UNDER_WAY = {
    *("run_open", "run_open_once_per_mailing", "delivery_in_hand", "worker_living"),
    *("import_unfinished", "user_deleted"),
    *("account_letter_waiting", "account_letter_queued", "account_letter_in_hand"),
    "account_letter_counted",  # a day's
}
"""Indexes of what is under way, which is not much whatever the ledger's size: they may be walked."""


def generic(connection: Connection, statement: str) -> Plan:
    """The plan that suits any values."""
    ((answer,),) = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(statement)}").fetchall()
    return _with_beginnings(connection, answer[0]["Plan"])


def of(connection: Connection, statement: str, values: Any = None) -> Plan:
    """The plan for these values, as they are bound by Django: written into the statement."""
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values)
        ((answer,),) = cursor.fetchall()
    return _with_beginnings(connection, answer[0]["Plan"])


def _with_beginnings(connection: Connection, plan: Plan) -> Plan:
    """The same plan; where it uses an index, it tells of which table that is, and with which column it begins."""
    for node in nodes(plan):
        if "Index Name" in node:
            ((table, column),) = connection.execute(BEGINS, {"index": f'"{node["Index Name"]}"'}).fetchall()
            node |= {"Index Table": table, "Begins With": column}
    return plan


@contextmanager
def noted() -> Iterator[dict[str, str]]:
    """What Django's connection is asked meanwhile: statements, and the same with their values."""
    from django.db import connection

    found: dict[str, str] = {}
    operations: Any = connection.ops

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if VERB.match(sql):
            found.setdefault(sql, operations.compose_sql(sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def large(connection: Connection) -> set[str]:
    """The tables that grow and have grown: of a small one all may be read, where the next plan is made again."""
    rows = connection.execute(LARGE, {"tables": list(GROWS), "pages": SMALL_PAGES}).fetchall()
    return {table for (table,) in rows}


def numbered(statement: str) -> str:
    """The statement with PostgreSQL's own places for values: $1, $2 …"""
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        name = match[1] or f"%{len(names)}"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return PLACE.sub(place, statement).replace("%%", "%")


def is_statement(name: str, value: object) -> bool:
    """Whether a module's attribute is a statement that is run as it stands."""
    return name.lstrip("_").isupper() and isinstance(value, str) and bool(VERB.match(value))


def faults(plan: Plan, grows: Collection[str] = GROWS, *, to_the_end: bool = True, few: bool = False) -> list[str]:
    """What the plan does that takes longer for each row of a table that grows. `to_the_end`: also where it goes no
    further than a LIMIT says. `few`: it was made for twenty rows, to which all indexes that have a column are alike;
    the next that are written have it made again.
    """
    found = []
    for node in nodes(plan) if to_the_end else _read_to_the_end(plan):
        kind, index = node["Node Type"], node.get("Index Name", "")
        table = node.get("Relation Name", node.get("Index Table"))
        if kind == "Seq Scan" and table in grows:
            found.append(f"reads all of {table}")
        if kind in ("Hash Join", "Merge Join") and (joined := scanned(node).intersection(grows)):
            found.append(f"{kind} of {', '.join(sorted(joined))}")
        if kind == "Nested Loop" and "Join Filter" in node and _of_lists(node, grows):
            found.append("compares each with each")
        if "Index" in kind and table in grows and index not in UNDER_WAY:
            condition = node.get("Index Cond", "")
            if not condition or (not few and node["Begins With"] not in condition):
                found.append(f"walks all of {index}")
            elif index == BY_CLIENT and kind != "Bitmap Index Scan" and "client_id" not in condition:
                found.append("reads a whole run")
    return found


def _read_to_the_end(plan: Plan, cut_off: bool = False) -> Iterator[Plan]:
    """The plan's nodes but those that give only their first rows: under a LIMIT, and nothing between wants all."""
    kind = plan["Node Type"]
    cut_off = kind == "Limit" or (cut_off and kind in STREAMS)
    if not cut_off or kind not in READS:
        yield plan
    for part in plan.get("Plans", ()):
        yield from _read_to_the_end(part, cut_off and part["Parent Relationship"] in ("Outer", "Subquery", "Member"))


def _of_lists(loop: Plan, grows: Collection[str]) -> bool:
    """Whether a nested loop goes through a list for each of many rows; those of a small table are not many."""
    outer, inner = (part for part in loop["Plans"] if part["Parent Relationship"] in ("Outer", "Inner"))
    read = {node["Relation Name"] for node in nodes(outer) if "Relation Name" in node}
    if inner["Node Type"] == "Materialize":  # of a file, or made of one
        return not read or FILE in read
    return inner["Node Type"] in LISTS and (not read or bool(read.intersection(grows)))


def nodes(plan: Plan) -> Iterator[Plan]:
    """The plan's nodes."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def scanned(plan: Plan) -> set[str]:
    """The tables that are read for a node's rows, but for rows that were asked for by their ids."""
    found = [node for node in nodes(plan) if "Relation Name" in node and "Scan" in node["Node Type"]]
    conditions = ((node["Relation Name"], node.get("Index Cond") or node.get("Recheck Cond", "")) for node in found)
    return {table for table, condition in conditions if not condition.startswith("(id = ")}


def told(plan: Plan, depth: int = 0) -> str:
    """The plan in short, for whoever looks for the fault."""
    words = [plan["Node Type"], plan.get("Join Type", ""), plan.get("Relation Name", ""), plan.get("Index Name", "")]
    extra = [f"{key}: {plan[key]}" for key in ("Index Cond", "Hash Cond", "Merge Cond", "Filter") if key in plan]
    line = "  " * depth + " ".join(filter(None, words)) + f" rows={plan['Plan Rows']}  " + "; ".join(extra)
    return "\n".join([line, *(told(part, depth + 1) for part in plan.get("Plans", ()))])
