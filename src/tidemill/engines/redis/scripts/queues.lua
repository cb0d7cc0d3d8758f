-- needs: produce save
-- queues: create queues or change their settings.
-- ARGV[3] msgpack: {name, settings} each, those of prelude/queues.lua; false for one that it does not
-- have; what is not there stays. A changed rate begins anew.

local LIMITS = {'concurrency', 'worker_concurrency', 'rate', 'capacity'}

local function has_limits(queue)
  for _, name in ipairs(LIMITS) do
    if queue[name] then
      return true
    end
  end
  return false
end

local function is_same(one, other)
  return one and other and one.count == other.count and one.cell == other.cell
    and one.burst == other.burst
end

-- Notes whether a queue has limits.
local function note_limits(name, queue)
  local words = {}
  for known in string.gmatch(LEDGER.limited or '', '%S+') do
    words[#words + 1] = known ~= name and known or nil
  end
  words[#words + 1] = has_limits(queue) and name or nil
  LEDGER.limited = #words > 0 and ' ' .. table.concat(words, ' ') .. ' ' or false
end

go_on_when_full()
for _, change in ipairs(cmsgpack.unpack(ARGV[3])) do
  local name, settings = change[1], change[2]
  know_queue(name)
  local queue = queue_named(name)
  if settings.rate ~= nil and not is_same(settings.rate, queue.rate) then
    queue.owed, queue.at = nil, nil
  end
  for key, value in pairs(settings) do
    queue[key] = value
    if value == false and key ~= 'paused' then
      queue[key] = nil
    end
  end
  note_limits(name, queue)
  redis.call('HSET', KEY.queues, name, cmsgpack.pack(queue))
  WOKEN[name] = true
end
save()
if LEDGER.limited then
  redis.call('HSET', KEY.ledger, 'limited', LEDGER.limited)
else
  redis.call('HDEL', KEY.ledger, 'limited')
end
return 1
