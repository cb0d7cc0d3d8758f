-- needs: ledger
-- feed: transitions after a cursor, which is a number of transitions.
-- ARGV[3] msgpack: {cursor, at, limit}; cursor -1 stands for the end, -2 for the oldest entry kept.
-- `at` is when the batch of the cursor was told: another one stands there now if the feed fell back
-- (an emptied server, a failover that lost its last writes) and went on from there.
-- Answers {first, told, at, lost, batches}: transitions told before the oldest kept; transitions told
-- in all, and when the last was; 1 when the cursor's place is lost; and {end, number, at, transitions}
-- for each batch that has some after the cursor, or all of them when its place is lost.

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
local newest = redis.call('XREVRANGE', KEY.feed, '+', '-', 'COUNT', 1)[1]
local told_at = newest and batch_of(newest)[3] or 0
local cursor, at, limit = unpack(request, 1, 3)

-- Whether what was told before the cursor is what its reader saw.
local function is_in_place()
  if cursor < first or cursor > LEDGER.told then
    return false
  end
  local there = cursor > first and redis.call('XRANGE', KEY.feed, whole(cursor), '+', 'COUNT', 1)[1]
  return not there or batch_of(there)[3] == at
end

if cursor == -1 then
  return {first, LEDGER.told, told_at, 0, {}}
end
local lost = cursor >= 0 and not is_in_place()
if cursor < 0 or lost then
  cursor = first
end
local batches, number = {}, 0
local after = '(' .. whole(cursor)
while number < limit do
  local found = redis.call('XRANGE', KEY.feed, after, '+', 'COUNT', 20)
  for _, raw in ipairs(found) do
    local batch = batch_of(raw)
    batches[#batches + 1] = batch
    number = number + math.min(batch[2], batch[1] - cursor)
    after = '(' .. raw[1]
    if number >= limit then
      break
    end
  end
  if #found < 20 then
    break
  end
end
return {first, LEDGER.told, told_at, lost and 1 or 0, batches}
