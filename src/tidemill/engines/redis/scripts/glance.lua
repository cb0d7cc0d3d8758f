-- needs: gives
-- glance: what a claim would find here.
-- ARGV[3] msgpack: {claim, worker, types (names)}. Answers {ready beside others, ready alone, weight, how
-- many may start, microseconds until the rate lets the next one start, 1 if the claim id was used
-- here}; what is parked for other types is not ready.

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
local name = redis.call('HKEYS', KEY.queues)[1] or ''
local queue = queue_named(name)
return {beside, alone, queue.weight, gives(name, request[2]), queue.rate and rates().next_in(queue) or 0,
  redis.call('ZSCORE', KEY.claims .. request[2], request[1]) and 1 or 0}
