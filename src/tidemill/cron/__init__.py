"""Cron expressions: which instants they name in a time zone.

Five fields: minute, hour, day of month, month, day of week. Each is `*`, a value, a range `1-5`, a
step `*/15`, `10-40/5`, `5/15` (from 5 on), or a list of these. Months and days have names (`JAN`,
`MON`, in any case); Sunday is 0 and 7. `L` and `LW` are a month's last day and its last day from
Monday to Friday, `5L` its last Friday, `5#2` its second. `@yearly`, `@annually`, `@monthly`,
`@weekly`, `@daily`, `@midnight` and `@hourly` stand for an expression. As in Vixie cron, a day
counts when it matches the day of month or the day of week, but both if one of the two fields
begins with `*`.

Where the clocks change, an expression follows one of two rules, those of Debian's cron:

- It names *times of day* if neither minute nor hour begins with `*`. Each time happens once a day:
  in a fold (clocks go back) the first time round, and those that fall into a gap (clocks go
  forward) happen together, once, at the instant after the gap.
- Any other one goes by *the clock on the wall*: it happens whenever that clock shows a minute that
  matches. A fold shows some twice, a gap never shows some.

- expression.py: reads the text, and says where it is wrong
- days.py: the days that it chooses
- stretches.py: time zones, cut into stretches of one offset
- rule.py: the instants
"""

from tidemill.cron.rule import CronRule, parse

__all__ = ["CronRule", "parse"]
