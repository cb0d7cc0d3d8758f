-- needs: produce save
-- enqueue: accept tasks in order.
-- ARGV[3] msgpack: the made tasks (`produce.lua`); ARGV[4…] facts and payload of each.
-- Answers one entry per task: 0 for itself, else the id of the holder of its unique key.

local answers = {}
for at, made in ipairs(cmsgpack.unpack(ARGV[3])) do
  local id, duplicate = enqueue(made)
  answers[at] = duplicate and id or 0
end
save()
return answers
