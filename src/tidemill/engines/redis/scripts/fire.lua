-- needs: produce save
-- fire: move schedules' marks and enqueue what they fire.
-- ARGV[3] msgpack: {schedule, instant, made task} each; ARGV[4…] facts and payload of each task.
-- Answers 1 for each firing that was accepted, else 0.

local answers = {}
for at, firing in ipairs(cmsgpack.unpack(ARGV[3])) do
  local schedule, instant = firing[1], firing[2]
  local mark = tonumber(redis.call('HGET', KEY.marks, schedule) or nil)
  if instant > LEDGER.now or (mark and instant <= mark) then
    answers[at] = 0
  else
    redis.call('HSET', KEY.marks, schedule, instant)
    enqueue(firing[3])
    answers[at] = 1
  end
end
save()
return answers
