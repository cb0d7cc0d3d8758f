-- needs: ledger
-- marks: how far schedules have come, and what they fired last.
-- ARGV[3] msgpack: {fires, {schedule, …}}: how many fires of each to answer at most.
-- Answers {now, {mark, or nil, of each}, {place in the list, {fire, …} of each that has any …}}.

local PART = 1000

local most, schedules = unpack(cmsgpack.unpack(ARGV[3]), 1, 2)
local marks, fires = {}, {}
for from = 1, #schedules, PART do
  local to = math.min(from + PART - 1, #schedules)
  for _, mark in ipairs(redis.call('HMGET', KEY.marks, unpack(schedules, from, to))) do
    marks[#marks + 1] = mark
    if mark and most > 0 then
      fires[#fires + 1] = #marks
      fires[#fires + 1] = redis.call('LRANGE', KEY.fires .. schedules[#marks], 0, most - 1)
    end
  end
end
return {LEDGER.now, marks, fires}
