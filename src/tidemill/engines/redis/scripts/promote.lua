-- needs: waiting save
-- promote: cancel waiting tasks that have expired, then move due ones on.
-- ARGV[3] msgpack: {limit}. Answers {moved, next_in, sent}: microseconds to the next due or expiring
-- instant, -1 when there is none; sent is also 1 when an earlier call left something in the outbox.

go_on_when_full()
local limit = cmsgpack.unpack(ARGV[3])[1]
local now = whole(LEDGER.now)
local over = limit > 0
  and redis.call('ZRANGEBYSCORE', KEY.expiring, '-inf', now, 'LIMIT', 0, limit) or {}
for _, id in ipairs(over) do
  STATES.finish(load(id), 'cancelled', 'expired', nil, nil, 'expired')
end
local left = limit - #over
local due = left > 0 and redis.call('ZRANGEBYSCORE', KEY.due, '-inf', now, 'LIMIT', 0, left) or {}
for _, id in ipairs(due) do
  STATES.admit(load(id), 'promoted')
end
local next_in = -1
for _, key in ipairs({KEY.due, KEY.expiring}) do
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] then
    local away = math.max(0, tonumber(first[2]) - LEDGER.now)
    next_in = next_in < 0 and away or math.min(next_in, away)
  end
end
save()
return {#over + #due, next_in, redis.call('EXISTS', KEY.outbox)}
