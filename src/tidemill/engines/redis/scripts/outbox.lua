-- needs: keys
-- outbox: what other queues must be told, oldest first.
-- ARGV[3] msgpack: {limit, {number of a message that was carried, …}}: those are forgotten first.
-- Answers {number, kind, …} for each; `enqueue` goes on with queue, id, type, priority, attempts, due,
-- rules, labels, facts, payload, after; `wait` with queue, task, who waits; `arrived` with queue, who
-- waits, task, how; `forget` with queue, schedule.

local request = cmsgpack.unpack(ARGV[3])
for _, number in ipairs(request[2]) do
  redis.call('ZREMRANGEBYSCORE', KEY.outbox, number, number)
end
local messages = {}
for at, raw in ipairs(redis.call('ZRANGE', KEY.outbox, 0, request[1] - 1)) do
  messages[at] = cmsgpack.unpack(raw)
  if messages[at][2] == 'enqueue' then
    messages[at][8] = whole(messages[at][8])
    messages[at][9] = messages[at][9] and 1 or 0
    messages[at][10] = messages[at][10] and 1 or 0
  end
end
return messages
