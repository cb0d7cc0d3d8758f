-- needs: keys
-- migrate: mark the store with its format.
-- ARGV[3] msgpack: {format}. Answers the format that the store has then.

local format = cmsgpack.unpack(ARGV[3])[1]
redis.call('HSETNX', KEY.meta, 'format', format)
return tonumber(redis.call('HGET', KEY.meta, 'format'))
