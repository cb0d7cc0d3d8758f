-- needs: ledger tallies
-- history: tallies of one resolution, oldest first, a part in each call.
-- ARGV[3] msgpack: {resolution, from, till, tallies, queues or false, types or false, together}: stretches
-- that begin between these scores of `stretches:`, until so many tallies were looked at; together: only
-- the total of each, as queue/type `/`.
-- Answers {score to go on from, '' at the end, msgpack: {{stretch, {[queue/type] = tally …}} …}}, made
-- of tallies as they are stored.

local resolution, from, till, most, queues, kinds, together = unpack(cmsgpack.unpack(ARGV[3]), 1, 7)
local STRETCHES_AT_ONCE = together and 1000 or 200

local function set_of(list)
  local set = {}
  for _, each in ipairs(list) do
    set[each] = true
  end
  return set
end

queues, kinds = queues and set_of(queues), kinds and set_of(kinds)

-- A field as it goes into the answer, or false when nobody asked for it.
local FIELDS = {}

local function chosen(field)
  if FIELDS[field] == nil then
    local queue, kind = string.match(field, '^([^/]+)/(.+)$')
    FIELDS[field] = (not queues or queues[queue]) and (not kinds or kinds[kind])
      and cmsgpack.pack(field) or false
  end
  return FIELDS[field]
end

-- What is chosen of a stretch, fields and tallies, and how many tallies it has.
local function read(place)
  local found = {}
  if queues or kinds then
    local fields = redis.call('HKEYS', place)
    for _, field in ipairs(fields) do
      if chosen(field) then
        found[#found + 1], found[#found + 2] = chosen(field), redis.call('HGET', place, field)
      end
    end
    return found, #fields
  end
  found = redis.call('HGETALL', place)
  for at = 1, #found, 2 do
    found[at] = chosen(found[at])
  end
  return found, #found / 2
end

local WHOLE = cmsgpack.pack('/')
local NEWEST, SUMS

-- The same of a stretch of which only the total was asked for. One that is not there is worked out, and
-- kept unless more may come.
local function read_total(begun, total)
  if total then
    return {WHOLE, total}, 1
  end
  SUMS = SUMS or adding()
  NEWEST = NEWEST or redis.call('ZREVRANGE', KEY.stretches .. resolution, 0, 0)[1]
  total = SUMS.total(resolution, begun)
  if begun ~= NEWEST then
    redis.call('HSET', KEY.totals .. resolution, begun, total)
  end
  return {WHOLE, total}, redis.call('HLEN', KEY.tallies .. resolution .. '/' .. begun)
end

go_on_when_full()
add_up()
local stretches = redis.call('ZRANGEBYSCORE', KEY.stretches .. resolution, from, till,
  'LIMIT', 0, STRETCHES_AT_ONCE)
local totals = together and #stretches > 0
  and redis.call('HMGET', KEY.totals .. resolution, unpack(stretches)) or {}
local parts, looked, last = {''}, 0, ''
for at, begun in ipairs(stretches) do
  local found, number
  if together then
    found, number = read_total(begun, totals[at])
  else
    found, number = read(KEY.tallies .. resolution .. '/' .. begun)
  end
  parts[at + 1] = struct.pack('>B', 146) .. cmsgpack.pack(tonumber(begun))
    .. struct.pack('>BI4', 223, #found / 2) .. table.concat(found)
  looked = looked + number
  if looked >= most or at == STRETCHES_AT_ONCE then
    last = '(' .. begun
    break
  end
end
parts[1] = struct.pack('>BI4', 221, #parts - 1)
return {last, table.concat(parts)}
