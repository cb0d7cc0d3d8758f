-- needs: ledger tallies
-- history: tallies of one resolution, oldest first, a part in each call.
-- ARGV[3] msgpack: {resolution, from, till, tallies, queues or false, types or false}: stretches that
-- begin between these scores of `stretches:`, until so many tallies were looked at.
-- Answers {score to go on from, '' at the end, msgpack: {{stretch, {[queue/type] = tally …}} …}}, made
-- of tallies as they are stored.

local STRETCHES_AT_ONCE = 200

local resolution, from, till, most, queues, kinds = unpack(cmsgpack.unpack(ARGV[3]), 1, 6)

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

go_on_when_full()
add_up()
local stretches = redis.call('ZRANGEBYSCORE', KEY.stretches .. resolution, from, till,
  'LIMIT', 0, STRETCHES_AT_ONCE)
local parts, looked, last = {''}, 0, ''
for at, begun in ipairs(stretches) do
  local found, number = read(KEY.tallies .. resolution .. '/' .. begun)
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
