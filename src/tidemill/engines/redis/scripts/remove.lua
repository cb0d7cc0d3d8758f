-- needs: removal save
-- remove: forget final tasks now.
-- ARGV[3] msgpack: {id, …}. Answers 1 for each that was removed, else 0.

go_on_when_full()
local answers = {}
for at, id in ipairs(cmsgpack.unpack(ARGV[3])) do
  local record = load(id)
  if record and is_final(record.live.state) then
    STATES.remove(record)
    answers[at] = 1
  else
    answers[at] = 0
  end
end
save_index()
save()
return answers
