-- settle: complete tasks, keep their records and results.
-- KEYS[1] the stream. ARGV: entry, number, result, entry, number, result, … Answers nothing.

local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local entries = {}
for place = 1, #ARGV, 3 do
  entries[#entries + 1] = ARGV[place]
  redis.call('HSET', KEYS[1] .. ':' .. ARGV[place + 1],
    'state', 'completed', 'result', ARGV[place + 2], 'finished', at)
end
redis.call('XACK', KEYS[1], 'bare', unpack(entries))
redis.call('XDEL', KEYS[1], unpack(entries))
