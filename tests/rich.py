"""A small pair of files in which every kind of rule finds something, and the plan with those rules."""

from __future__ import annotations

from typing import Any

NAMES = [
    "Anna Meyer",
    "Bela Kovac",
    "Carl Rossi",
    "Dora Weber",
    "Emil Jensen",
    "Finn Costa",
    "Greta Silva",
    "Hugo Moreau",
]
PLAN: dict[str, Any] = {
    "name": "rich",
    "left": {"label": "Ledger"},
    "right": {"label": "Bank"},
    "fields": [
        {"name": "reference", "left": "ref", "right": "ref", "type": "text"},
        {"name": "amount", "left": "amount", "right": "amount", "type": "decimal", "scale": 2},
        {"name": "who", "left": "who", "right": "who", "type": "text"},
        {"name": "city", "left": "city", "right": "city", "type": "text"},
    ],
    "rules": [
        {"name": "exact", "on": ["reference", "amount"]},
        {"name": "reversals", "net": "left", "on": ["reference", {"field": "amount", "total": True}]},
        {"name": "in one sum", "cardinality": "many_to_one", "on": ["who", {"field": "amount", "total": True}]},
        {"name": "same person", "link": {"fields": ["who", "city", "amount"], "probability": 0.5}},
    ],
    "compare": ["amount"],
    "duplicates": {"left": {"on": ["reference", "amount"], "exclude": True}},
}


def files(open_fees: int) -> tuple[bytes, bytes]:
    """A ledger and its bank: equal rows, a reversal, a sum, people, fees kept back, a row twice, `open_fees` alone."""
    left, right = ["ref,amount,who,city"], ["ref,amount,who,city"]
    for n in range(30):
        row = f"E{n},{100 + n}.00,{NAMES[n % 8]},Ulm"
        left.append(row)
        right.append(row)
    left += ["R1,50.00,Storno,Kiel", "R1,-50.00,Storno,Kiel", "E0,100.00,Anna Meyer,Ulm"]
    left += [f"S{n},{amount},Batch,Bonn" for n, amount in enumerate(("10.01", "20.02", "30.03", "7.77", "8.88"))]
    right.append("SUM,60.06,Batch,Bonn")
    for n, name in enumerate(NAMES):
        city = ("Trier", "Kiel", "Bonn", "Ulm")[n % 4]
        left.append(f"P{n},{3000 + 17 * n}.00,{name},{city}")
        right.append(f"Q{n},{3000 + 17 * n}.00,{name[:-2]}{name[-1]}{name[-2]},{city}")
    for n in range(6):
        left.append(f"F{n},{500 + n}.00,Fees,Mainz")
        right.append(f"F{n},{499 + n}.70,Fees,Mainz")
    right += [f"O{n},-{n + 1}.00,Open {n},Nowhere" for n in range(open_fees)]
    return "\n".join(left).encode(), "\n".join(right).encode()
