-- needs: keys
-- What the store counts: its time, its transitions, its arrivals in lanes, its rotation; and, in
-- one text, which queues have limits of any kind, so that the others need not be looked up.
-- Arguments of every script: ARGV[1] the caller's clock in microseconds, or '' for the server's;
-- ARGV[2] the channel to publish ready queues on; then the script's own.

local LEDGER = {}
do
  local seen = redis.call('HMGET', KEY.ledger, 'clock', 'told', 'arrived', 'rotated', 'limited')
  local now
  if ARGV[1] == '' then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
  else
    now = tonumber(ARGV[1])
  end
  LEDGER.now = math.max(now, tonumber(seen[1] or 0))
  LEDGER.told = tonumber(seen[2] or 0)
  LEDGER.arrived = tonumber(seen[3] or 0)
  LEDGER.rotated = tonumber(seen[4] or 0)
  LEDGER.limited = seen[5]
end

-- A server that is out of memory refuses a script's first write if it needs memory, and lets the
-- script go on if an earlier write did not. Verbs that lead to freeing memory begin with this, and
-- those that an operator needs for it.
local function go_on_when_full()
  redis.call('DEL', KEY.ledger .. ':none')
end

local function save_ledger()
  redis.call('HSET', KEY.ledger, 'clock', LEDGER.now, 'told', LEDGER.told,
    'arrived', LEDGER.arrived, 'rotated', LEDGER.rotated)
end
