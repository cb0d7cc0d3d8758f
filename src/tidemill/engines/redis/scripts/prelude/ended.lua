-- needs: ledger tallies
-- What this script saw end, by queue and type: how many, and how many for each duration. Many of a
-- batch have the same, so they are sorted into slots at the end. Functions are made inside others
-- here, because every script pays for those that it makes.

local ADDED_AT = 100
local ENDED = {}
local NOTED, NOTED_QUEUE, NOTED_TYPE

-- Notes one task or attempt that ended now; with its times unless `started` is 0.
local function note_end(queue, kind, what, started, due)
  local noted = NOTED
  if queue ~= NOTED_QUEUE or kind ~= NOTED_TYPE then
    ENDED[queue] = ENDED[queue] or {}
    noted = ENDED[queue][kind] or {
      completed = 0, failed = 0, cancelled = 0, retried = 0, reclaimed = 0, runs = {}, waits = {},
    }
    ENDED[queue][kind] = noted
    NOTED, NOTED_QUEUE, NOTED_TYPE = noted, queue, kind
  end
  noted[what] = noted[what] + 1
  if started > 0 then
    local runs, waits, ran, waited = noted.runs, noted.waits, LEDGER.now - started, started - due
    runs[ran], waits[waited] = (runs[ran] or 0) + 1, (waits[waited] or 0) + 1
  end
end

local function save_ended()
  if not NOTED then
    return
  end

  -- The same as tidemill.histogram.slot.
  local function slot_of(duration)
    if duration <= 1 then
      return 0
    end
    local mantissa, exponent = math.frexp(duration)
    local slot = 4 * exponent
    if mantissa <= 0.5946035575013605 then
      slot = slot - (mantissa == 0.5 and 4 or 3)
    elseif mantissa <= 0.7071067811865476 then
      slot = slot - 2
    elseif mantissa <= 0.8408964152537145 then
      slot = slot - 1
    end
    return math.min(slot, 172)
  end

  local function in_slots(durations)
    local sum, histogram, flat = 0, {}, {}
    for duration, number in pairs(durations) do
      duration = math.max(0, duration)
      local slot = slot_of(duration)
      sum = sum + duration * number
      histogram[slot] = (histogram[slot] or 0) + number
    end
    for slot, number in pairs(histogram) do
      flat[#flat + 1], flat[#flat + 2] = slot, number
    end
    return sum, #flat / 2, struct.pack('>' .. string.rep(SLOT, #flat / 2), unpack(flat))
  end

  local waiting
  for queue, of_queue in pairs(ENDED) do
    for kind, noted in pairs(of_queue) do
      local ran, runs, slots_of_runs = in_slots(noted.runs)
      local waited, waits, slots_of_waits = in_slots(noted.waits)
      local entry = struct.pack(ENTRY, LEDGER.now, noted.completed, noted.failed, noted.cancelled,
        noted.retried, noted.reclaimed, ran, waited, queue .. '/' .. kind, runs, waits)
      waiting = redis.call('RPUSH', KEY.ended, entry .. slots_of_runs .. slots_of_waits)
    end
  end
  if waiting >= ADDED_AT then
    add_up()
  end
end
