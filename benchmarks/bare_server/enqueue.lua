-- enqueue: add tasks to the stream, with a record each.
-- KEYS[1] the stream. ARGV: number of the first task, how many, type, payload. Answers nothing.

local first, last = tonumber(ARGV[1]), ARGV[1] + ARGV[2] - 1
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('XGROUP', 'CREATE', KEYS[1], 'bare', '0', 'MKSTREAM')
end
for number = first, last do
  redis.call('HSET', KEYS[1] .. ':' .. number,
    'type', ARGV[3], 'payload', ARGV[4], 'state', 'pending', 'enqueued', at)
  redis.call('XADD', KEYS[1], '*', 'task', number)
end
