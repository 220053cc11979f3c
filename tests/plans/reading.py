"""Reading plans: what each of them does with tables that grow."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import psycopg

from tests.plans.scale import GROWS

Plan = dict[str, Any]

PLACE = re.compile(r"%\((\w+)\)s|%s")
VERB = re.compile(r"[\s(]*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
LISTS = ("CTE Scan", "Function Scan")
BY_CLIENT = "delivery_once_per_client"

UNDER_WAY = {"run_open", "run_open_once_per_mailing", "delivery_in_hand", "worker_living"}
"""Indexes of what is under way, which is not much whatever the ledger's size: they may be walked."""


def generic(connection: psycopg.Connection[Any], statement: str) -> Plan:
    """The plan that suits any values."""
    ((answer,),) = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(statement)}").fetchall()
    plan: Plan = answer[0]["Plan"]
    return plan


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


def faults(plan: Plan, grows: Collection[str] = GROWS) -> list[str]:
    """What the plan does that takes longer for each row of a table that grows."""
    found = []
    for node in nodes(plan):
        kind, table, index = node["Node Type"], node.get("Relation Name"), node.get("Index Name", "")
        if kind == "Seq Scan" and table in grows:
            found.append(f"reads all of {table}")
        if kind in ("Hash Join", "Merge Join") and (joined := scanned(node).intersection(grows)):
            found.append(f"{kind} of {', '.join(sorted(joined))}")
        if kind == "Nested Loop" and "Join Filter" in node and node["Plans"][1]["Node Type"] in LISTS:
            found.append("compares each with each")
        if "Index" in kind and table in grows and index not in UNDER_WAY:
            if "Index Cond" not in node:
                found.append(f"walks all of {index}")
            elif index == BY_CLIENT and "client_id" not in node["Index Cond"]:
                found.append("reads a whole run")
    return found


def nodes(plan: Plan) -> Iterator[Plan]:
    """The plan's nodes."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def scanned(plan: Plan) -> set[str]:
    """The tables that are read for a node's rows."""
    return {node["Relation Name"] for node in nodes(plan) if "Relation Name" in node and "Scan" in node["Node Type"]}


def told(plan: Plan, depth: int = 0) -> str:
    """The plan in short, for whoever looks for the fault."""
    words = [plan["Node Type"], plan.get("Join Type", ""), plan.get("Relation Name", ""), plan.get("Index Name", "")]
    extra = [f"{key}: {plan[key]}" for key in ("Index Cond", "Hash Cond", "Merge Cond", "Filter") if key in plan]
    line = "  " * depth + " ".join(filter(None, words)) + f" rows={plan['Plan Rows']}  " + "; ".join(extra)
    return "\n".join([line, *(told(part, depth + 1) for part in plan.get("Plans", ()))])
