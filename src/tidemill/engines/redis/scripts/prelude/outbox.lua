-- needs: ledger
-- The outbox: on a cluster, what other queues must be told, in order. A relay carries it there:
-- `enqueue` a task, `wait` for a child, `arrived` at a parent, `forget` a schedule. Scripts answer
-- whether they SENT something.

local SENT = 0

local function send(kind, ...)
  LEDGER.arrived = LEDGER.arrived + 1
  redis.call('ZADD', KEY.outbox, LEDGER.arrived, cmsgpack.pack({whole(LEDGER.arrived), kind, ...}))
  SENT = 1
end
