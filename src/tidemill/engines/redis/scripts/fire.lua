-- needs: fires produce save
-- fire: move schedules' marks, enqueue what they fire, and note it.
-- ARGV[3] msgpack: {schedule, instant, made task or false, version or false, missed, by hand} each;
-- ARGV[4…] what each task brings along (`produce.lua`). Answers {a word for each: see `Fired`,
-- sent}.

local MARKS = {}
local VERSIONS = {}

local function mark_of(schedule)
  if not MARKS[schedule] then
    local stored = redis.call('HGET', KEY.marks, schedule)
    local at, number = string.match(stored or ':0', '^(.*):(.*)$')
    MARKS[schedule] = {at = tonumber(at), count = tonumber(number), fires = {}}
  end
  return MARKS[schedule]
end

local function version_of(schedule)
  if not VERSIONS[schedule] then
    local stored = redis.call('HGET', KEY.documents .. 'schedule', schedule)
    VERSIONS[schedule] = stored and tonumber(string.match(stored, '^%d+')) or 0
  end
  return VERSIONS[schedule]
end

local function fired(schedule, instant, made, version, missed, by_hand)
  if version and version ~= version_of(schedule) then
    return 'changed'
  elseif instant > LEDGER.now then
    return 'early'
  end
  local mark = mark_of(schedule)
  if by_hand then
    if made and load(made[1]) then
      return 'already'
    end
  elseif mark.at and instant <= mark.at then
    return 'already'
  else
    mark.at = instant
  end
  local outcome, id, duplicate = 'missed', false, false
  if made then
    id, duplicate = enqueue(made)
    outcome = duplicate and 'skipped' or 'fired'
  end
  mark.count = mark.count + (outcome == 'fired' and 1 or 0)
  mark.fires[#mark.fires + 1] = cmsgpack.pack({instant, LEDGER.now, outcome, id, missed, by_hand})
  return outcome
end

local function save_marks()
  local words = {}
  for schedule, mark in pairs(MARKS) do
    if #mark.fires > 0 then
      words[#words + 1] = schedule
      words[#words + 1] = (mark.at and whole(mark.at) or '') .. ':' .. whole(mark.count)
      if in_parts(mark.fires, 'LPUSH', KEY.fires .. schedule) > FIRES_KEPT then
        redis.call('LTRIM', KEY.fires .. schedule, 0, FIRES_KEPT - 1)
      end
    end
  end
  in_parts(words, 'HSET', KEY.marks)
end

local answers = {}
for at, firing in ipairs(cmsgpack.unpack(ARGV[3])) do
  answers[at] = fired(unpack(firing, 1, 6))
end
save_marks()
save()
return {answers, SENT}
