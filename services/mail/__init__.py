"""Mail by outbox: a row in the transaction of its cause, sent in the background by a relay, never lost."""
