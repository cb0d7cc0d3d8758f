-- glance: what a claim would find here.
-- ARGV[3] msgpack: {claim, worker}. Answers {ready beside others, ready alone, weight, paused, 1 if
-- the claim id was used here}.

local request = cmsgpack.unpack(ARGV[3])
load_ready()
local beside, alone = 0, 0
for lane, number in pairs(READY) do
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
