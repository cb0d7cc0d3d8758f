-- needs: ledger
-- Queues: in one hash, by name, msgpack {weight, paused, passed (its place in the rotation)}, and where
-- it has them lease, concurrency, worker_concurrency, rate ({count, cell, burst}), capacity, and of the
-- rate's bucket owed and at (tidemill.rates; whole numbers below 2^53).

local QUEUES = {}

local function queue_named(name)
  if QUEUES[name] == nil then
    local raw = redis.call('HGET', KEY.queues, name)
    QUEUES[name] = raw and cmsgpack.unpack(raw) or {weight = 1, paused = false, passed = 0}
  end
  return QUEUES[name]
end

-- A queue's settings if it has limits of any kind, else nil.
local function limited(name)
  if not LEDGER.limited or not string.find(LEDGER.limited, ' ' .. name .. ' ', 1, true) then
    return nil
  end
  return queue_named(name)
end
