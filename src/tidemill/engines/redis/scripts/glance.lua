-- needs: lanes
-- glance: what a claim would find here.
-- ARGV[3] msgpack: {claim, worker, types (names)}. Answers {ready beside others, ready alone, weight,
-- paused, 1 if the claim id was used here}; what is parked for other types is not ready.

local request = cmsgpack.unpack(ARGV[3])
local known = {}
for _, name in ipairs(request[3]) do
  known[name] = true
end
load_ready()
local beside, alone = 0, 0
for lane, number in pairs(READY) do
  local parked = string.match(lane, '/type/([^/]+)$')
  if parked and not known[parked] then
    number = 0
  end
  if string.find(lane, '/alone', 1, true) then
    alone = alone + number
  else
    beside = beside + number
  end
end
local _, raw = unpack(redis.call('HGETALL', KEY.queues))
local queue = raw and cmsgpack.unpack(raw) or {weight = 1, paused = false}
return {beside, alone, queue.weight, queue.paused and 1 or 0,
  redis.call('ZSCORE', KEY.claims .. request[2], request[1]) and 1 or 0}
