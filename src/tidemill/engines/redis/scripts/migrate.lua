-- needs: keys
-- migrate: mark the store with its format.
-- ARGV[3] msgpack: {format}. Answers the format that the store has then.

local found = redis.call('HGET', KEY.meta, 'format')
if not found then
  found = cmsgpack.unpack(ARGV[3])[1]
  redis.call('HSET', KEY.meta, 'format', found)
end
return tonumber(found)
