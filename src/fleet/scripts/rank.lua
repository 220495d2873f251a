-- Returns a run's rank in a flight: 'leads'; 'forgotten' if Redis lost the leadership, so
-- that the leader must restore it; or 'deposed'. `kept` starts with the flight, the
-- epoch, the run and the state.
local function rank(kept, flight, epoch, run)
  local kept_epoch, vacant = tonumber(kept[2] or '0'), kept[4] == 'vacant'
  if not kept[1] then
    return 'forgotten'
  end
  if kept[1] ~= flight then
    return 'deposed'
  end
  if kept[3] == run and not vacant then
    return 'leads'
  end
  if kept_epoch < epoch or (vacant and kept_epoch == epoch) then
    return 'forgotten'
  end
  return 'deposed'
end

