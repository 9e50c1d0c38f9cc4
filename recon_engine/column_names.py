"""How alike two column names are, for people: their words, the usual abbreviations and synonyms."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

# What words of column names stand for.
_SYNONYMS = """
id: no nr num number code key identifier nummer numero
reference: ref txn transaction trn trx tran e2e invoice inv doc document voucher order
reference: deal trade claim shipment awb waybill voucher
reference: referenz beleg belegnummer belegnr rechnung rechnungsnummer rechnungsnr auftrag facture factura fattura
amount: charge charges gift credit net notional
amount: amt value sum total gross betrag preis kosten montant importe castka spend price summe brutto netto importo
date: due created issued faellig fallig
date: day dt posted posting booking booked paid payment settlement settled at on datum time timestamp
date: buchungsdatum buchungstag valutadatum wertstellung rechnungsdatum fecha
description: desc narrative narration memo details detail text note particulars remark remarks purpose
description: verwendungszweck buchungstext bezeichnung beschreibung libelle concepto descrizione
account: acct acc iban konto kontonummer kontonr compte cuenta conto
currency: ccy cur curr wahrung waehrung devise moneda divisa
name: payee merchant supplier vendor counterparty beneficiary customer payer company client
name: kunde lieferant empfanger auftraggeber debitor kreditor fournisseur cliente proveedor
product: sku item article artikel artikelnummer material
quantity: qty counted stock pieces bestand menge anzahl quantite cantidad
location: bin warehouse shelf lager lagerplatz
bank: institution
category: type class
address: addr street strasse str road adresse anschrift rue calle direccion indirizzo
city: town ort stadt ville ciudad citta suburb
postcode: zip plz postal cap
phone: tel telephone telefon mobile handy cell
birth: dob born geburtsdatum birthdate
department: dept directorate area unit
"""
_CONCEPT = {
    word: concept
    for concept, others in (line.split(": ") for line in _SYNONYMS.strip().splitlines())
    for word in (concept, *others.split())
}
_CONCEPTS = frozenset(_CONCEPT.values())
_ENDINGS = ("datum", "nummer", "betrag", "konto", "name", "preis")
_IDENTIFIERS = {"reference", "id", "account", "product"}
_ADDRESS = re.compile(r"^\w+://\S*[/#](?=\w)")


def own_part(name: str) -> str:
    """Of a term of the web its own name, without the address of the vocabulary that it shares with others."""
    return _ADDRESS.sub("", name)


def words(name: str) -> list[str]:
    """The words of a column name in lower case without accents: 'bookingDate' and 'BOOKING_DATE' are booking, date."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", own_part(name)) if not unicodedata.combining(c))
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    lower = re.sub(r"[\W_]+", " ", spaced.lower()).strip()
    return re.sub(r"\bend to end\b", "e2e", lower).split()


def concepts(name: str) -> set[str]:
    """What the name speaks of: reference, amount, date, description, account, currency, name ..."""
    found = words(name)
    return {_meaning(word.rstrip("0123456789")) for word in found} & _CONCEPTS  # amount1 is an amount


def is_identifier(name: str) -> bool:
    """True for names of codes and references, which are text even when they are digits."""
    return bool(concepts(name) & _IDENTIFIERS)


def _meaning(word: str) -> str:
    """What a word stands for; of a compound such as 'ablesedatum', what its last part does."""
    compound = next((end for end in _ENDINGS if word.endswith(end)), word)
    return _CONCEPT.get(word) or _CONCEPT.get(compound, word)


def _meanings(spoken: list[str]) -> set[str]:
    """What the words mean; "id" or "number" beside another word adds nothing (txn_id is a transaction)."""
    meant = {_meaning(word) for word in spoken}
    return meant - {"id"} or meant


def name_likeness(left: str, right: str) -> float:
    """0 to 1: 1 for the same words, about 0.6 for synonyms."""
    a, b = words(left), words(right)
    if not a or not b:
        return float(bool(left.strip()) and left.strip() == right.strip())
    if a == b:
        return 1.0
    if "".join(a) == "".join(b):
        return 0.97
    shared = len(set(a) & set(b)) / len(set(a) | set(b))
    meant_a, meant_b = _meanings(a), _meanings(b)
    meant = len(meant_a & meant_b) / len(meant_a | meant_b)
    spelt = SequenceMatcher(None, " ".join(a), " ".join(b)).ratio()
    return max(0.9 * shared + 0.1 * meant, 0.65 * meant + 0.15 * spelt, 0.8 * spelt if spelt > 0.8 else 0.0)
