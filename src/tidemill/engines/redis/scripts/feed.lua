-- needs: ledger
-- feed: transitions after a cursor, which is a number of transitions.
-- ARGV[3] msgpack: {cursor, limit}; cursor -1 stands for the end, -2 for the oldest entry kept.
-- Answers {first, told, batches}: transitions told before the oldest kept, transitions told in all,
-- and {end, number, at, transitions} for each batch that has some after the cursor.

local request = cmsgpack.unpack(ARGV[3])
local oldest = redis.call('XRANGE', KEY.feed, '-', '+', 'COUNT', 1)[1]

local function batch_of(raw)
  local fields = {}
  for at = 1, #raw[2], 2 do
    fields[raw[2][at]] = raw[2][at + 1]
  end
  return {tonumber(string.match(raw[1], '^%d+')), tonumber(fields.n), tonumber(fields.at), fields.told}
end

local first = LEDGER.told
if oldest then
  local batch = batch_of(oldest)
  first = batch[1] - batch[2]
end
local cursor = request[1]
if cursor == -1 then
  return {first, LEDGER.told, {}}
elseif cursor < first or cursor > LEDGER.told then
  cursor = first
end
local batches, number = {}, 0
local after = '(' .. whole(cursor)
while number < request[2] do
  local found = redis.call('XRANGE', KEY.feed, after, '+', 'COUNT', 20)
  for _, raw in ipairs(found) do
    local batch = batch_of(raw)
    batches[#batches + 1] = batch
    number = number + math.min(batch[2], batch[1] - cursor)
    after = '(' .. raw[1]
    if number >= request[2] then
      break
    end
  end
  if #found < 20 then
    break
  end
end
return {first, LEDGER.told, batches}
