-- needs: produce save
-- enqueue: accept tasks in order.
-- ARGV[3] msgpack: the made tasks (`produce.lua`); ARGV[4…] facts, payload and, if it has one, after of
-- each. Answers {one entry per task, sent}: 0 for itself, else the id of the holder of its unique key.
-- Where a queue has no room nothing is done, and {false, {queue, capacity, waiting, more}} answered.

-- The first queue without room for its part of a batch, {queue, capacity, waiting, more}.
local function full(batch)
  -- How many tasks wait in a queue.
  local function waiting_in(queue)
    local found, sum = redis.call('HGETALL', KEY.counts), 0
    for at = 1, #found, 2 do
      local name, state = string.match(found[at], '^([^/]+)/.*/(%l+)$')
      if name == queue and waits_for_its_turn(state) then
        sum = sum + found[at + 1]
      end
    end
    return sum
  end

  -- What would be made in queues with a capacity: for each how many, and these queues in their order.
  local function more_of(batch)
    local names, more, seen = {}, {}, {}
    for _, made in ipairs(batch) do
      local queue = made[2]
      if limited(queue) and limited(queue).capacity and not load(made[1]) then
        local unique = unique_of(made)
        local what = queue .. (unique and '/key ' .. unique.key or '/' .. made[1])
        if not seen[what] and not (unique and holder(queue, unique.key)) then
          seen[what] = true
          names[#names + 1] = not more[queue] and queue or nil
          more[queue] = (more[queue] or 0) + 1
        end
      end
    end
    return names, more
  end

  local names, more = more_of(batch)
  for _, queue in ipairs(names) do
    local capacity, waiting = limited(queue).capacity, waiting_in(queue)
    if waiting + more[queue] > capacity then
      return {queue, capacity, waiting, more[queue]}
    end
  end
  return nil
end

local batch, answers = cmsgpack.unpack(ARGV[3]), {}
local without_room = LEDGER.limited and full(batch)
if without_room then
  save()
  return {false, without_room}
end
for at, made in ipairs(batch) do
  local id, duplicate = enqueue(made)
  answers[at] = duplicate and id or 0
end
save()
return {answers, SENT}
