-- claim: take the next tasks of the stream.
-- KEYS[1] the stream. ARGV: the worker, how many at most.
-- Answers {entry, number, payload} of each.

local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local found = redis.call(
  'XREADGROUP', 'GROUP', 'bare', ARGV[1], 'COUNT', ARGV[2], 'STREAMS', KEYS[1], '>')
local claims = {}
for _, entry in ipairs(found and found[1][2] or {}) do
  local number = entry[2][2]
  local record = KEYS[1] .. ':' .. number
  redis.call('HSET', record, 'state', 'running', 'worker', ARGV[1], 'started', at)
  claims[#claims + 1] = {entry[1], number, redis.call('HGET', record, 'payload')}
end
return claims
