-- needs: queues
-- How fast a queue may start tasks: the same as tidemill.rates, with the bucket in its settings.

-- It is made where it is needed: every script pays for the functions it makes.
local function rates()

  -- What a queue's bucket holds now.
  local function owed(queue)
    local flown = math.max(0, LEDGER.now - (queue.at or 0)) * queue.rate.count
    return math.max(0, (queue.owed or 0) - flown)
  end

  local function allowed(queue)
    local rate = queue.rate
    return math.max(0, math.floor((rate.burst * rate.cell - owed(queue)) / rate.cell))
  end

  local function spend(queue, started)
    queue.owed, queue.at = owed(queue) + started * queue.rate.cell, LEDGER.now
  end

  -- Microseconds until the next task may start; 0 when one may now.
  local function next_in(queue)
    local over = owed(queue) - (queue.rate.burst - 1) * queue.rate.cell
    return math.max(0, math.ceil(over / queue.rate.count))
  end

  return {allowed = allowed, spend = spend, next_in = next_in}
end
