-- needs: deliveries
-- stats: counts and queues at this instant.
-- Answers {now, {field, count …}, {queue, settings …}, {queue, oldest due …}}.

load_ready()
local oldest = {}
for lane, number in pairs(READY) do
  local entry = number > 0 and last_delivered(lane) and peek(lane, 1)[1]
  if entry then
    local queue, due = string.match(lane, '^[^/]+'), load(entry.id).live.due
    oldest[queue] = math.min(oldest[queue] or due, due)
  end
end
local since = {}
for queue, due in pairs(oldest) do
  since[#since + 1] = queue
  since[#since + 1] = due
end
return {LEDGER.now, redis.call('HGETALL', KEY.counts), redis.call('HGETALL', KEY.queues), since}
