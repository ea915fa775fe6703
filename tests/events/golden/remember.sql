INSERT INTO `customerio_sync`.`accepted_events` (
  `workspace`,
  `sync`,
  `event_id`,
  `occurred_on`,
  `attributes_hash`,
  `accepted_at`,
  `run_id`
)
SELECT
  @p AS `workspace`,
  @p AS `sync`,
  `sync_plan`.`event_id`,
  CAST(`sync_plan`.`source_updated_at` AS DATE) AS `occurred_on`,
  `sync_plan`.`attributes_hash`,
  @p AS `accepted_at`,
  `sync_plan`.`run_id`
FROM `customerio_sync`.`sync_plan`
JOIN `customerio_sync`.`sync_acks`
  ON `sync_acks`.`event_id` = `sync_plan`.`event_id`
  AND `sync_acks`.`phase` = `sync_plan`.`phase`
WHERE
  `sync_plan`.`workspace` = @p
  AND `sync_plan`.`sync` = @p
  AND `sync_plan`.`run_date` = @p
  AND `sync_plan`.`run_id` = @p
  AND `sync_acks`.`workspace` = @p
  AND `sync_acks`.`sync` = @p
  AND `sync_acks`.`run_date` = @p
  AND `sync_acks`.`run_id` = @p
  AND CAST(`sync_plan`.`source_updated_at` AS DATE) >= @p
  AND CAST(`sync_plan`.`source_updated_at` AS DATE) <= @p
