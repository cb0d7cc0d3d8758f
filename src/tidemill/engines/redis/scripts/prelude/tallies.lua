-- needs: keys
-- Tallies: what ended in a minute, hour or day, of one type in one queue. A hash for each of these
-- stretches of time; its fields are `queue/type`, its values msgpack {completed, failed, cancelled,
-- retried, reclaimed, ran, waited, runs, waits}: tasks and attempts, microseconds in all, and attempts
-- by slot of their duration. `stretches:` lists the hashes that there are. `totals:` has by stretch the
-- sum of all its tallies, once a later one has begun; it is there only while it is right.
--
-- What a script has seen end is at first an entry for each type in the list `ended`, a row of instant,
-- the seven sums, queue/type, how many slots follow of runs and of waits, and these, slot and number.
-- Adding it to three packed tallies would take ten times as long, so a hundred are added at once, and
-- those that are there before somebody reads.

local ENTRY = '>I8I4I4I4I4I4I8I8sBB'
local SLOT = 'BI4'

-- How tallies are added. It is made where it is needed: every script pays for the functions it makes.
local function adding()
  local function add(sum, tally)
    for at = 1, 7 do
      sum[at] = sum[at] + tally[at]
    end
    for at = 8, 9 do
      local histogram = sum[at]
      for slot, number in pairs(tally[at]) do
        histogram[slot] = (histogram[slot] or 0) + number
      end
    end
    return sum
  end

  -- In a form that readers know the types of: cmsgpack makes a list or a map of a table, by what is
  -- in it.
  local function packed(tally)
    local parts = {string.char(153), cmsgpack.pack(unpack(tally, 1, 7))}
    for at = 8, 9 do
      local flat = {}
      for slot, number in pairs(tally[at]) do
        flat[#flat + 1], flat[#flat + 2] = slot, number
      end
      parts[#parts + 1] = struct.pack('>BI2', 222, #flat / 2)
      parts[#parts + 1] = #flat > 0 and cmsgpack.pack(unpack(flat)) or ''
    end
    return table.concat(parts)
  end

  -- The sum of a stretch's tallies, packed.
  local function total(resolution, begun)
    local sum = {0, 0, 0, 0, 0, 0, 0, {}, {}}
    for _, raw in ipairs(redis.call('HVALS', KEY.tallies .. resolution .. '/' .. begun)) do
      add(sum, cmsgpack.unpack(raw))
    end
    return packed(sum)
  end

  -- Writes the total of the stretch before one that begins.
  local function close_before(resolution, begun)
    local before = redis.call('ZREVRANGEBYSCORE', KEY.stretches .. resolution,
      '(' .. whole(begun), '-inf', 'LIMIT', 0, 1)[1]
    if before then
      redis.call('HSET', KEY.totals .. resolution, before, total(resolution, before))
    end
  end

  return {add = add, packed = packed, total = total, close_before = close_before}
end

-- Adds what is in the list to the tallies of its minutes, from them to hours, from those to days.
local function add_up()
  local entries = redis.call('LRANGE', KEY.ended, 0, -1)
  if #entries == 0 then
    return
  end

  local sums = adding()

  local function tally_of(stretches, instant, length, field)
    local begun = instant - instant % length
    local fields = stretches[begun] or {}
    stretches[begun] = fields
    fields[field] = fields[field] or {0, 0, 0, 0, 0, 0, 0, {}, {}}
    return fields[field]
  end

  local function minutes_of_entries()
    local minutes = {}
    for _, raw in ipairs(entries) do
      local entry = {struct.unpack(ENTRY, raw)}
      local tally = tally_of(minutes, entry[1], 60000000, entry[9])
      for at = 1, 7 do
        tally[at] = tally[at] + entry[at + 1]
      end
      local runs, waits, next_at = entry[10], entry[11], entry[12]
      local slots = {struct.unpack('>' .. string.rep(SLOT, runs + waits), raw, next_at)}
      for at = 1, 2 * (runs + waits), 2 do
        local histogram = tally[at <= 2 * runs and 8 or 9]
        histogram[slots[at]] = (histogram[slots[at]] or 0) + slots[at + 1]
      end
    end
    return minutes
  end

  local function joined(stretches, length)
    local longer = {}
    for begun, fields in pairs(stretches) do
      for field, tally in pairs(fields) do
        sums.add(tally_of(longer, begun, length, field), tally)
      end
    end
    return longer
  end

  local function save_stretches(resolution, stretches)
    local begun_now = {}
    for begun, fields in pairs(stretches) do
      local place = KEY.tallies .. resolution .. '/' .. whole(begun)
      for field, tally in pairs(fields) do
        local stored = redis.call('HGET', place, field)
        if not stored
          and redis.call('ZADD', KEY.stretches .. resolution, whole(begun), whole(begun)) == 1 then
          begun_now[#begun_now + 1] = begun
        end
        local sum = stored and sums.add(cmsgpack.unpack(stored), tally) or tally
        redis.call('HSET', place, field, sums.packed(sum))
      end
      redis.call('HDEL', KEY.totals .. resolution, whole(begun))
    end
    for _, begun in ipairs(begun_now) do
      sums.close_before(resolution, begun)
    end
  end

  local minutes = minutes_of_entries()
  local hours = joined(minutes, 3600000000)
  save_stretches('minute', minutes)
  save_stretches('hour', hours)
  save_stretches('day', joined(hours, 86400000000))
  redis.call('DEL', KEY.ended)
end
