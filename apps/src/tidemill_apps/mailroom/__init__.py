"""The mailroom: reads mail, tells what is spam, and keeps what matters about the rest."""
