export const SEED = 'ten'
