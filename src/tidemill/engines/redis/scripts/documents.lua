-- needs: keys
-- documents: read named values of one kind, stored as `version:written at:body`.
-- ARGV[3] msgpack: {kind, {key, …} or false for all}. Answers values, or all keys and values.

local request = cmsgpack.unpack(ARGV[3])
local place = KEY.documents .. request[1]
if not request[2] then
  return redis.call('HGETALL', place)
end
local answers = {}
for at, key in ipairs(request[2]) do
  answers[at] = redis.call('HGET', place, key)
end
return answers
