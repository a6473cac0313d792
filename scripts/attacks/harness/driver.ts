/** placeholder */
export class AttackedDriver {}
