"""Made-up text for a first run with no network: mock-Elizabethan plays, and plain prose to pretrain on.

It is text to see the machine run on, not Shakespeare. A small grammar writes it: RULES holds templates,
whose {slots} are filled by other rules or by words of a trade (the sea, the kitchen, the law, ...).
Three things make it worth a language model's while. A scene keeps to its trade and its topic; a speech
answers the speech before it; and everyone in a play has a tic and an oath of their own.

The prose is told with the same words and much of the same grammar, but in modern dress (see OLD and NEW),
so a model that has read the prose has a head start on the plays.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

# Each trade: things, stuffs, folk, deeds (done to a thing), ways (what a thing does), marks, places.
KINDS = ("thing", "stuff", "folk", "deed", "way", "mark", "place")
TRADES = {
    "sea": (
        "ship net oar anchor herring sail mast rope lantern gull oyster hook keel compass whale barrel cable",
        "salt tar foam brine canvas",
        "sailor fisherman pilot smuggler boatswain mermaid",
        "haul mend steer salt drown moor hoist caulk",
        "drift founder leak roll float",
        "briny leaky tarred drowned slippery barnacled",
        "harbour quay lighthouse beach shipyard",
    ),
    "kitchen": (
        "kettle pie goose spoon loaf pudding ladle onion cheese sausage turnip cauldron oven cleaver",
        "butter gravy broth mustard pepper dough",
        "cook baker butcher scullion brewer",
        "stir roast baste peel season pickle devour knead",
        "simmer boil burn crumble spill",
        "greasy peppered half-baked buttered stale crusty",
        "kitchen pantry cellar bakehouse larder",
    ),
    "war": (
        "sword drum banner shield cannon trumpet helmet spear arrow gauntlet musket pike trench saddle",
        "iron powder blood smoke valour",
        "soldier captain sergeant archer drummer trumpeter",
        "sharpen seize defend besiege plunder conquer polish break",
        "rust thunder gleam march fall",
        "bloody rusty dented warlike dauntless",
        "camp rampart drawbridge battlefield gatehouse",
    ),
    "court": (
        "crown throne ribbon mirror seal sceptre portrait glove title petition banquet carpet decree feather",
        "velvet silk flattery marble ceremony",
        "courtier usher herald page chamberlain ambassador",
        "crown banish flatter kneel-to pardon gild wear borrow",
        "glitter totter fade shine bow",
        "royal gilded perfumed noble powdered stately",
        "palace antechamber gallery ballroom throne-room",
    ),
    "church": (
        "bell candle psalm steeple sermon relic pulpit hymn pew prayer-book cloister beadle miracle",
        "incense holy-water wax penance plainsong",
        "bishop friar sexton nun pilgrim abbess",
        "bless ring preach christen confess absolve light kiss",
        "toll flicker crack kneel echo",
        "holy pious sainted solemn consecrated",
        "chapel belfry crypt abbey vestry",
    ),
    "law": (
        "bond writ verdict gallows statute oath deed witness-box wig quill fine dungeon contract clause",
        "ink evidence parchment perjury equity",
        "judge lawyer constable jailer clerk juryman",
        "sign swear-to forge arrest hang plead dispute witness",
        "expire hold lapse stand fail",
        "lawful forged guilty binding sealed unsigned",
        "courtroom gaol town-hall chancery pillory",
    ),
    "love": (
        "heart kiss rose letter sonnet sigh locket lute garland promise blush ring dream bouquet tear vow",
        "honey moonlight music perfume rapture",
        "lover bride poet suitor sweetheart matchmaker",
        "kiss adore court break praise treasure forswear pine-for",
        "blush wither tremble ache bloom",
        "tender faithless amorous rosy sighing",
        "orchard balcony garden arbour bower",
    ),
    "farm": (
        "cow plough turnip sheaf pig hen scarecrow cart fence bull haystack sickle ram scythe pitchfork egg",
        "hay barley dung milk straw clover",
        "farmer shepherd milkmaid ploughman goatherd swineherd",
        "milk plough shear fatten yoke sow reap muck",
        "graze ripen bellow stray sprout",
        "muddy fat woolly rustic horned stubborn",
        "barn meadow pasture cowshed dairy",
    ),
    "wood": (
        "oak fox owl stag acorn nettle badger branch thorn hare toadstool wolf hedgehog nest trap bramble",
        "moss timber bark ivy mist",
        "woodman poacher huntsman charcoal-burner hermit forester",
        "hunt fell snare chase skin split track gather",
        "rustle prowl creep howl hide",
        "mossy wild hollow thorny shaggy crooked",
        "forest glade thicket heath brook",
    ),
    "sky": (
        "star moon cloud comet rainbow planet eclipse sunbeam storm almanac hailstone thunderbolt swallow",
        "thunder rain frost darkness daylight",
        "astrologer stargazer watchman prophet rainmaker",
        "eclipse foretell darken outshine measure follow curse count",
        "shine set wane vanish rise",
        "starry pale eclipsed stormy heavenly silver",
        "hilltop tower observatory horizon weathercock",
    ),
    "grave": (
        "bone grave coffin spade skull worm ghost tombstone epitaph shroud wreath hearse vault mourner urn",
        "dust clay mould ash marrow",
        "gravedigger undertaker widow physician mason",
        "bury dig mourn rake carve haunt weep-for wrap",
        "rot rattle moan moulder sleep",
        "mouldy silent ghostly bony buried hollow-eyed",
        "churchyard tomb charnel-house mausoleum ditch",
    ),
    "market": (
        "purse penny ledger shilling bargain coin bale debt pearl scale pawn-ticket ducat counter basket",
        "gold silver copper spice profit",
        "merchant usurer pedlar fishwife miser tinker",
        "sell buy steal weigh pawn count squander hoard",
        "shrink jingle double gleam dwindle",
        "costly counterfeit cheap penniless golden",
        "market counting-house shop bazaar pawnshop",
    ),
    "physic": (
        "pill leech nose tooth liver belly potion beard fever lancet plaster ear elbow bunion crutch",
        "rhubarb vinegar phlegm poison wormwood",
        "surgeon barber nurse midwife apothecary quack",
        "cure bleed bandage shave swallow dose pull poultice",
        "ache itch swell throb heal",
        "swollen feverish gouty toothless bitter",
        "sickroom hospital bath-house barber-shop apothecary",
    ),
    "books": (
        "book riddle proverb page grammar poem volume footnote chronicle slate inkwell library map syllable",
        "logic Latin rhetoric philosophy nonsense",
        "scholar tutor schoolboy librarian philosopher printer",
        "read write copy translate burn quote study misspell",
        "yellow rhyme puzzle instruct bore",
        "learned dusty unread dog-eared eloquent",
        "library schoolroom study garret printing-house",
    ),
    "inn": (
        "tankard stool barrel bottle dice cork fiddle bench reckoning hangover mug song keg cup pipe",
        "ale wine sack cider tobacco",
        "innkeeper ostler fiddler drunkard tapster barmaid",
        "drink pour tap spill toast broach empty swig",
        "froth wobble gurgle stagger snore",
        "drunken frothy sodden bottomless merry",
        "tavern taproom stable inn-yard wine-cellar",
    ),
    "craft": (
        "hammer needle boot breeches-button anvil thimble nail shoe doublet shuttle loom patch bellows-pipe",
        "leather thread wool brass sawdust",
        "tailor cobbler blacksmith weaver carpenter tinker",
        "stitch hammer patch forge darn cobble nail measure",
        "fray squeak bend split clatter",
        "threadbare patched crooked hammered well-made",
        "smithy workshop mill tannery woodshed",
    ),
}
TRADE_WORDS = {
    trade: {kind: row.split() for kind, row in zip(KINDS, rows, strict=True)}
    for trade, rows in TRADES.items()
}

# Words that belong to no trade.
WORDS = {
    kind: row.split()
    for kind, row in {
        "virtue": "love honour patience grief mercy truth fortune pride hope envy sorrow wit silence courage "
        "reason shame pity ambition sloth melancholy beauty malice hunger folly sleep justice "
        "gratitude despair charity memory faith idleness youth age jealousy curiosity thrift gluttony "
        "modesty conscience",
        "temper": "honest weary foolish proud gentle jealous brave cunning wretched old idle sober sullen hungry "
        "patient cruel timid wise lazy bashful lonely cheerful barefoot bald lame snoring crafty "
        "modest lean melancholy haughty simple sleepless stammering left-handed one-eyed grave peevish",
        "softly": "softly bravely slowly gladly sadly boldly wisely twice daily seldom loudly sweetly idly well "
        "badly backwards gravely humbly hourly sideways nightly gently soundly dearly warily kindly "
        "often",
        "kin": "mother father uncle aunt grandmother brother sister cousin godfather stepmother nephew grandsire "
        "niece great-aunt",
        "num": "three two seven nine ten twelve four forty six five eight twenty fifty eleven sixteen ninety",
        "saint": "Tib Osyth Ninnoc Gobban Wilfrith Bega Cuthwin Mabyn Radigund Torphin Keyne Fursey Uncumber",
        "headed": "headed hearted faced livered bellied nosed brained tongued footed eared witted kneed chinned",
        "vermin": "knave toad weasel maggot rascal flea ninny dunce magpie scoundrel lout gudgeon slug coxcomb "
        "mongrel polecat blockhead earwig gander barnacle pickpocket turncoat bedbug milksop",
        "hour": "dawn noon midnight supper cockcrow sunset candle-time dinner harvest Michaelmas nightfall Lent",
        "great": "great small poor little sweet dear wicked strange black white goodly rare broken ancient "
        "bright plain monstrous bitter empty naked dull lost foul fair",
        "knows": "knows swears says fears thinks vows believes hopes",
    }.items()
}

MEN = [
    "Perrin",
    "Osrin",
    "Fulk",
    "Tobit",
    "Galliard",
    "Wilkin",
    "Orlo",
    "Quillon",
    "Tancred",
    "Valdo",
    "Crispo",
    "Jessamy",
    "Hobbin",
    "Lubberkin",
    "Mordo",
    "Barnabo",
    "Pimpernoll",
    "Zeno",
    "Leofrin",
    "Ambrogi",
    "Ruddock",
    "Gascoyn",
    "Ilfred",
    "Peverel",
    "Tam",
    "Sacheverel",
    "Odo",
    "Bastian",
    "Noll",
    "Kitto",
    "Fabbro",
    "Dunstan",
    "Egremont",
    "Wendel",
    "Florizan",
    "Hamo",
]
WOMEN = [
    "Ursolet",
    "Tansy",
    "Isaude",
    "Perpetua",
    "Linnet",
    "Averil",
    "Bettris",
    "Clemence",
    "Drusa",
    "Fenella",
    "Grizel",
    "Odile",
    "Sabeth",
    "Rosalba",
    "Melisend",
    "Philippot",
    "Marjolaine",
    "Tibby",
    "Ysolde",
    "Amabel",
    "Columbine",
    "Jonquil",
    "Sidony",
    "Petronel",
    "Hawise",
    "Merriwen",
    "Lettice",
    "Florimel",
    "Damaris",
    "Euphemy",
    "Thomasin",
    "Barbary",
    "Annis",
    "Verity",
    "Godiva",
    "Prunella",
]
LANDS = [
    "Marl",
    "Tarnwick",
    "Brindle",
    "Hexmoor",
    "Dunmere",
    "Pellan",
    "Varrow",
    "Corvane",
    "Estermouth",
    "Gorsey",
    "Thrale",
    "Lunt",
    "Wolding",
    "Saltry",
    "Ambry",
    "Kestrow",
    "Fenwold",
    "Oxlow",
    "Rookhope",
    "Ponderby",
    "Mickleham",
    "Sallow",
    "Drax",
    "Tolland",
    "Quarl",
    "Inkpen",
    "Wray",
]
TICS = [
    "mark me",
    "i' faith",
    "as my mother said",
    "under correction",
    "do you see",
    "to speak plainly",
    "if I may be so bold",
    "as the saying goes",
    "I say no more",
    "upon reflection",
    "ha, ha",
    "saving your presence",
    "as I live",
    "God mend all",
    "in a manner of speaking",
    "or so they tell me",
    "I am no scholar",
    "to be brief",
    "and there an end",
    "heaven help us",
    "no offence",
    "I have it in writing",
    "it stands to reason",
    "as sure as eggs",
    "at my time of life",
    "but let that pass",
    "I name no names",
    "for my sins",
    "in the old style",
    "with all respect",
    "among friends",
    "as I told the judge",
    "hem",
    "not to boast",
    "believe it who will",
    "give or take a little",
    "so to say",
    "as any child knows",
    "I will be sworn",
    "on my last legs",
    "between ourselves",
    "like it or not",
    "alas the day",
    "as my wife denies",
    "strange to relate",
    "by hook or crook",
    "in this weather",
    "more or less",
    "when all is said",
    "on an empty stomach",
    "or I am a turnip",
]
RHYMES = [
    row.split()
    for row in (
        "night light sight knight fight",
        "day clay way play bay hay",
        "bone stone throne moan",
        "heart cart part dart",
        "head bed bread thread",
        "king ring spring string",
        "door floor shore moor",
        "gold cold fold mould",
        "grave wave knave slave",
        "crown town gown clown frown",
        "sea tree bee key knee",
        "air hair stair chair prayer",
        "wine vine line swine",
        "wall hall fall squall",
        "moon spoon tune noon",
        "cat hat rat bat",
        "pot plot knot lot",
        "mouse house louse",
        "fire lyre choir spire",
        "rose nose crows snows",
        "tower hour flower shower",
        "breath death",
        "word bird herd sword",
        "hand land sand band",
        "eye sky pie lie",
        "tale ale sail gale whale",
    )
]

# A rule is a name after @, then its templates, set apart by line ends or bars. A slot {kind} is filled by a
# known fact, a rule or a word; {kind:mood} inflects it; {x=kind} keeps it, so that a later {x} says it again.
RULES_TEXT = """
@one
the {thing} | the {mark} {thing} | a {mark} {thing} | a {thing} | the {great} {thing}
a {great} {mark} {thing} | the {folk}'s {thing} | my {kin}'s {thing} | a {thing} of {stuff} | the {thing} {at}
{his} {mark} {thing} | the {thing} that {way:ed} {at} | the {thing} that {who} {deed:ed}
a {thing} without a {thing} | {his} {thing}
@many
the {thing:pl} | {num} {thing:pl} | {mark} {thing:pl} | the {thing:pl} {at} | {num} {mark} {thing:pl}
all the {thing:pl} of {town} | {great} {thing:pl} and {mark} {thing:pl} | the {folk:pl} | {stuff} and {stuff}
@who
a {folk} | the {folk} | a {temper} {folk} | the {temper} {folk} | {other} | the {folk} of {town} | my {kin}
my {temper} {kin} | a {folk} {at} | the {folk} that {deed:ed} {one} | {other}'s {kin} | {other}'s {folk}
some {temper} {folk} or other | a {folk} with {num} {thing:pl}
@at
in the {place} | by the {place} | behind the {place} | beyond the {place} | at the {place}
near the old {place} | outside the {place} | above the {place} | under the {thing} | in {town}
between the {place} and the {place}
@clause
{who} {deed:ed} {one} | {one} {way:ed} {at} | {who} {deed:ed} {many} {softly} | the {stuff} was {mark}
{one} {way:ed} {like} | {virtue} {way:ed} {like} | {who} was {deed:ing} {one} | {one} was {deed:en} by {who}
the {thing:pl} {way:ed} {softly} | {other} was as {temper} as {who} | {who} came {at} with {one}
no one had {deed:en} {one} | {who} lay {at} | {virtue} was {mark} | {who} asked {who} for {one}
the {folk:pl} {deed:ed} {one} and the {folk:pl} {deed:ed} {one} | {who} swore to {deed} {one}
@his
his | his | her | our | my | {thy} | {thy}
@like
like a {far} {at} | like {one} | as {mark} as a {thing} | like a {folk} without {stuff}
as {temper} as a {folk} | like {stuff} in a {far} | as if {who} had {deed:en} it | like a {mark} {far}
as a {folk} loves {stuff} | like {num} {far:pl} in a {thing}
@day
Saint {saint}'s day | Saint {saint}'s eve | the feast of Saint {saint} | the {great} {thing} fair
@when
last night | before {day} | on {day} | the night the {thing} {way:ed}
before the {folk:pl} had {deed:en} the {thing:pl} | while {who} slept | {num} years ago | at {hour}
when the {thing:pl} {way:ed} {at} | once, at {hour} | in my {kin}'s time
while the {folk} was {deed:ing} {one}
@soon
{ere} {day} | before the {thing} {way:s} | when the {thing:pl} {way} | by {hour} | on {day} | this very night
{ere} {who} can {deed} {one} | as soon as the {folk} has {deed:en} {one} | within {num} days
tomorrow at {hour}
@say
The {a=folk} {deed:eth} the {b=thing}; but who, I ask, {deed:eth} the {a}?
I have {deed:en} {many}, and {deed:en} {many}, and never once {deed:ed} {one}.
I never {deed:ed} {one} but {who} would {deed} it {softly}.
My {kin} {deed:ed} {one} {when}, and {hath} not {deed:en} it since.
There was {one} {at}; {who} {deed:ed} it {when}, and now it {way:s} no more.
He that would {deed} {one} must first {deed} {one}. | {one} is but {one} that {who} {hath} {deed:en}.
What is {virtue}? {one}, that {way:s} {softly} and {way:s} no more.
{virtue} is {one}, {virtue} is {one}, and {virtue} the {folk} that {deed:eth} them both.
I would not {deed} {one} for {many}. | I had rather {deed} {one} {at} than {deed} {many} with {who}.
They say that {who} {deed:ed} {one} {when}; I {deed:ed} it myself.
When the {thing:pl} {way}, then {doth} {virtue} {way}; when they {way} not, {virtue} is a {thing}.
The {thing} {way:s} {at}, the {thing} {way:s} {at}, and I, who {deed:ed} them, {way} between.
If {virtue} were {stuff}, the {folk:pl} would {deed} it by the {thing}.
If {who} should {deed} the {a=thing}, I'll {deed} {him_that} that {deed:ed} it.
Though {who} should {deed} {one}, yet would {virtue} {way} {like}.
Never did {who} {deed} {one} so {softly}, {like}. | All {town} {knows} that {who} {deed:ed} {one} {when}.
{other} {knows} that {who} {deed:ed} {one}, and {who} {knows} that {other} did it.
I {deed:ed} it {softly}; it {way:ed} {like}.
Let the {folk} {deed} his {thing}, and the {folk} her {thing}; I'll {deed} my own.
{num} {thing:pl} I {deed:ed} {when}, {num} I lost {at}, and the rest {way:ed}.
There is more {virtue} in {one} than in {num} {temper} {folk:pl}.
O {virtue}, {thou} {mark} {thing}, how {softly} {dost} {thou} {way}!
O {great} {thing}! O {mark} {thing:pl}! O {stuff}, {stuff}, {stuff}!
No {folk} is so {temper} but he may {deed} {one}. | It is a {temper} {folk} that {deed:s} his own {thing}.
{who} came with {one}, and {who} with {one}, and neither had {stuff}.
My {thing} is {mark}, my {thing} is {mark}, and the {thing} I love is {deed:en} by {who}.
I dreamed {when} that {who} {deed:ed} me {like}.
For my part, I {deed} no {thing} that {who} {hath} {deed:en}.
So {way:s} {one}; so {way:s} {virtue}; so, by and by, {way:s} {who}.
The {stuff} was {mark}, the {thing} was {mark}, and {who} lay {at} {like}.
As {one} {way:s} {at}, so {way:s} my {virtue} when {other} is by.
What {who} {deed:s} in {virtue} he shall {deed} again in {virtue}.
I knew a {folk} {at} who {deed:ed} {one} with {one}, and died of {virtue}.
In {town} they {deed} their {thing:pl}, and call it {virtue}.
The {lost} of {town} is gone, and {virtue} is gone with it.
Whoever {hath} the {lost}, {hath} {one} and small {virtue}.
I saw the {lost} {when}; {who} was {deed:ing} it {at}.
{foe} {hath} {num} {folk:pl} {at}, and every one can {deed} {one}.
{foe} would {deed} his own {kin} for {one}. | There is no {stuff} in {town}, nor any {folk} left to {deed} it.
The {folk} {knows}, the {folk} {knows}, and all the {folk:pl} {deed} {one} about it.
A {folk} may {deed} {one} and be called {temper}; I {deed:ed} {one} and was called a {vermin}.
Half my {thing:pl} are {mark}, and the other half are {deed:en}.
I'll {deed} {one} {soon}, though {virtue} itself should {way}.
We shall be {deed:en}, every {kin}'s darling of us, {soon}.
Though {thou} {deed} {many} {at}, {thou} {shalt} not {deed} me.
{thou} {hast} {deed:en} {one}, and {hast} the {virtue} of {one}.
Such {stuff}, such {thing:pl}, such {mark} {virtue}, were never {deed:en} {at}.
Nay, by the {thing} that {way:ed} {at}, I {deed:ed} no {thing}.
Give me {one}, and a little {stuff}, and let {virtue} {way}.
Not {one}, nor {one}, nor all the {stuff} {at}, could make me {deed} it.
First I {deed:ed} the {a=thing}; then the {a} {deed:ed} me; now {who} must {deed} us both.
When {clause}, and {clause}, then was I {temper}. | {clause}, {clause}, and {clause}.
Before {clause}, {clause}; and now, {who} {knows}, {virtue} {way:s}.
{thou} {deed:est} {one} {at}, and call{est} it {virtue}. | While {clause}, I {deed:ed} {one}, and {clause}.
Had not {who} {deed:en} {one}, I had been {deed:en} {like}. | If {clause}, as {who} {knows}, why am I {mark}?
{prithee}, {deed} {one} no more: {clause}, and {clause}.
@proverb
{mark} {thing:pl} make {temper} {folk:pl}. | A {thing} {deed:en} in {virtue} is {deed:en} twice.
Better a {mark} {thing} than a {temper} {folk}.
{virtue} is the {folk}'s {thing}, but {virtue} is his {stuff}.
The {thing} that {way:s} at {hour} is {deed:en} by {hour}.
He {deed:s} {softly} that {deed:s} {hour} and {hour}. | Trust not a {folk} with a {mark} {thing}.
One {thing} {way:s}; two {thing:pl} {deed} each other.
Many {deed} the {thing} that never {deed:ed} a {thing}. | Where there is {stuff}, there is {who} to {deed} it.
Put no {stuff} in a {mark} {thing}. | Every {thing} must {way} {at}. | Old {folk:pl} {deed} {mark} {thing:pl}.
The {temper} {folk} {deed:s} his {thing} at {hour}. | {virtue} {way:s}, but the {thing} remains.
A {folk} is known by his {thing}. | Who {deed:s} a {thing} for {virtue} will {deed} a {thing} for {stuff}.
There never was a {thing} so {mark} but some {folk} would {deed} it.
{virtue} and {stuff} are soon {deed:en}.
@ask
But where, {you}, is the {t}? | What news of the {t}, {you}? | {you}, {hast} {thou} {deed:en} the {t}?
Tell me, {you}: who {deed:ed} the {t}? | Why {dost} {thou} {deed} the {t} so {softly}?
Is it {thy} {t}, {you}, or {other}'s? | How came the {t} {at}, {you}? | What say{est} {thou} to the {t}?
{wherefore} {dost} {thou} speak of the {t} {like}? | {prithee}, {you}, what is a {t}?
Who {hath} the {t} now? | What would {thou} give me for the {t}, {you}? | Shall we {deed} the {t} {soon}?
Saw you the {t} {at}, {you}? | {you}, how many {t:pl} did {who} {deed} {when}?
May {a=who} {deed} the {t}, {you}, and not {way}? | What is more {mark} than a {t}?
Which is the {great} one, {you}, the {t} or the {thing}? | Is there no {t} {at} but {who} must {deed} it?
{dost} {thou} love the {t}, {you}, or {dost} {thou} {deed} it?
@answer
The {t}, {you}? I {deed:ed} it {when}. | {you}, the {t} is {at}; {who} {deed:ed} it there.
Ask me not of the {t}, {you}; ask {who}. | What {t}, {you}? I know no {t} but {one}.
I'll answer {thee}, {you}: the {t} is {one}. | The {t} is where {thy} {kin} left it, {you}: {at}.
The {t}, {you}? Why, {who} {deed:ed} it for {num} pence. | I had the {t} of {who}, {you}, who stole it {at}.
There are {num} {t:pl} {at}, {you}, and every one is {mark}.
No, {you}; the {t} is {deed:en}, and I am {temper}. | That {t}, {you}, is no more a {t} than I am {one}.
By {oath}, {you}, the {t} {way:ed} {when}. | I {deed:ed} the {t}, {you}, and would {deed} it again.
The {t} is safe, {you}; it {way:s} {at}. | A {t} is {one} that {who} {deed:ed}, {you}.
The {t}, {you}, was ever {mark}; it {way:s} {like}. | {you}, I never saw the {t}. I saw {one}.
{who} {hath} the {t}, {you}, and {who} {hath} the {thing}.
Ay, the {t}, {you}; and with the {t}, {one}; and with that, {one}.
Yes, a {mark} {t}, {you}, {deed:en} {when}. | Two {t:pl}, {you}: one {mark}, and one {deed:en}.
My {kin}'s {t}, {you}? It {way:s} {at} {like}.
@bid
Go, {you}, and {deed} the {t} {soon}. | Bring me the {t}, {you}, and {one} with it.
{deed} the {t}, {you}, {like}. | {prithee}, {you}, {deed} no more {t:pl}. | Hence with that {t}, {you}!
Hide the {t} {at}, and tell {who} I sent {thee}. | Swear by the {t}, {you}, that {thou} {wilt} not {deed} it.
Let no {folk} {deed} the {t} {soon}, {you}. | Find {who}, {you}; say the {t} is {deed:en}.
Take the {t} to {who}, {you}, and {deed} it {softly}. | Put up {thy} {t}, {you}; here comes {who}.
Hold the {t} {softly}, {you}, and {deed} it not. | Sing us of the {t}, {you}.
Give {other} the {t}, {you}, and keep the {thing}. | Look to the {t}, {you}!
Count the {t:pl}, {you}, {soon}.
@obey
I go, {you}; the {t} shall be {deed:en} {soon}. | Not I, {you}: let {who} {deed} the {t}.
The {t} is done, {you}, or as good as {deed:en}. | I'll {deed} no {t} for {thee}, {you}, nor for {who}.
With all my heart, {you}: I'll {deed} the {t} {like}. | What, {deed} the {t}, {you}? It would {way}.
Command me {one}, {you}, but not the {t}.
{you}, I have {deed:en} {t:pl} enough; my {kin} was {deed:en} by one.
At once, {you}; and when the {t} is {deed:en}, what then? | The {t}, {you}? Say it is {deed:en}; I fly {like}.
I would, {you}, but {who} {hath} my {thing}, and no {t} was ever {deed:en} without.
Ay, first the {t}, {you}; then supper. | If I {deed} not the {t}, {you}, call me {one}.
Easier, {you}, to {deed} {many} than to {deed} that {t}. | {who} did forbid the {t}, {you}, {when}.
The {t} is too {mark}, {you}; I should {way} {like}.
@mock
{thou} {slur}, {thou} {slur}, what {dost} {thou} know of a {t}?
Peace, {you}, {thou} {slur}; {thou} and {thy} {t}! | {thy} {t}, {you}, is {like_a}.
I have seen a {better} {t} {at}, {you}, and {who} was {deed:ing} it.
{you}, {thou} {art} {a=one}, and {thy} {t} is another.
A {t} {hath} more {virtue} than {thou} {hast}, {slur}.
Were {thou} a {t}, {you}, I would {deed} {thee} {soon}.
{thy} wit, {you}, {way:s} {like}; so {doth} {thy} {t}.
A {vermin}, {you}, and the {kin} of a {vermin}: go, {deed} {thy} {t}. | {you}, {thy} face would {deed} a {t}.
O {slur}! O {t}-{headed} {slur}! | When {thou} {speak}, {you}, the {t} {way:s} and the {thing} {way:s}.
Thus {doth} the {slur} {deed} the {t}! | {thou} {mark} {t}, {thou} {temper} {thing}, {thou} {slur}!
Not {num} {folk:pl} could {deed} the {virtue} from {thy} {t}, {you}, for none is in it.
If brains were {t:pl}, {you}, {thou} {hast} not one to {deed}.
Get {thee} to the {place}, {slur}, and take {thy} {t}.
@retort
{slur} in {thy} teeth, {you}! My {t} is as good as {thy} {kin}'s.
I thank {thee}, {you}; a {t} is known by its enemies.
Call me not {vermin}, {you}; I am {one}, and a {t} besides.
Laugh on, {you}: {thou} {shalt} eat that {t} {soon}. | And {thou}, {you}, {art} a {slur} that {deed:s} {t:pl}.
Better a {t}, {you}, than {one}; better {one} than {thee}.
Say that of my {t} again, {you}, and I'll {deed} {thy} {thing}. | {you}, {thy} {kin} was {deed:en} by a {t}.
A {t}, {you}? I have {deed:en} a {folk} for less. | So {mark}, {you}? My {t} blushes for {thee} {like}.
Out, {slur}! {thou} {hast} no {t}, {you}, and no {thing} neither.
I bite my thing and laugh, {you}; so {doth} my {t}.
{you}, I will {deed} {thee} like the {t} that {thou} {art}. | From {thee}, {you}, that {t} is praise.
Well mocked, {you}, for {one}. My {t} is {mark} yet.
{thy} tongue, {you}, is a {mark} {t}; {who} should {deed} it.
@tell
{you}, the {t} is {deed:en}. | They have found the {t} {at}, {you}, and {who} {hath} {deed:en} it.
News, {you}: {foe} {hath} {deed:en} the {t}. | {other} comes {soon}, {you}, with {num} {t:pl}.
I heard {when}, {you}, that the {t} was {deed:en} by {who}. | Strange, {you}: the {t} {way:ed} {when} {like}.
{who} is dead, {you}, and left {thee} a {t}. | Know, {you}, that {who} would {deed} the {t} {soon}.
The {t}, {you}, the {t}! It {way:s} {at}! | There stands {at}, {you}, a {t} as {mark} as {one}.
{other} {hath} sworn by the {t}, {you}, to {deed} {who}. | {you}, I have lost the {t} that {who} {deed:ed}.
I dreamed of a {t}, {you}, that {deed:ed} {one} {at}. | All {town} is {at}, {you}, to see the {t} {deed:en}.
@wonder
The {t} {deed:en}, {you}? Then {virtue} is {one}. | O heavy news, {you}! Would the {t} had {way:ed} {when}.
{you}, {thou} {dost} jest; the {t} is {at}. | A {t}! Did ever {who} {deed} the like, {you}?
I feared it, {you}: I saw the {t} {way} {when}. | And is the {t} so {mark}, {you}? Then let {who} {way}.
Say it again, {you}, and say the {t} {softly}.
I'll not believe it, {you}, till the {t} itself {way:s} {like}.
Good news, {you}! A {t} for every {folk}, and {stuff} {at}. | Alas, {you}, the {t}! My {kin} loved it {like}.
Who told {thee} so, {you}? {who}? {who} never saw a {t}. | {you}, what is a {t} to me, that {deed:ed} {many}?
Then the {t} is {thy} charge, {you}, and the {thing} is mine. | Heaven keep the {t}, {you}, from {who}.
@woo
{you}, {thou} {art} {one} to me, and {thy} voice a {t}.
Be mine, {you}, and I'll {deed} {thee} {one} and a {t}.
Were I that {t}, {you}, that I might {way} {at} with {thee}!
O {you}, {thy} {virtue} {doth} {deed} me like a {t}. | {thine} eyes, {you}, are {num} {t:pl} {at}.
I would {deed} {many}, {you}, for one {t} from {thee}.
For {thee}, {you}, I {deed:ed} a {t} {when}, and {way:ed} {like}.
{you}, my heart's a {t}, and {thou} {dost} {deed} it. | No {t} so {mark}, {you}, but {thou} {art} more so.
If a {t} could love, {you}, it would {way} as I do.
@coy
A {t}, {you}? I have been called {one}, but never that.
{you}, {thou} {speak} like {who} that {deed:ed} a {t}. | Keep {thy} {t}, {you}, and give me {one}.
Ask my {kin}, {you}, and bring the {t} {soon}. | Swear not by the {t}, {you}; it {way:s} {soon}.
I love {thee}, {you}, as well as any {t} {at}. | Fie, {you}! So said {who} of the {t} {when}.
{you}, if I must have a {t}, let it be {mark}. | Is that {t} mine, {you}? Then {virtue} is {one}.
O, say again that {t}, {you}; say it {softly}. | A {t} today, {you}; {one} tomorrow; and then {who}.
{you}, marry the {t}, and send me {one} to the wedding.
@muse
So much, {you}, for the {t}. | There, {you}, is the {a=virtue} of the {t}; and {a} is all.
The {t} is {mark}, {you}. | Thus {way:s} the {t}, {you}, and thus {way:s} {virtue}.
I think, {you}, a {t} is more {mark} than {one}. | I'll speak no more of the {t}, {you}.
A {t} is a {t}, {you}, though {who} {deed} it. | {you}, I am weary of {t:pl}.
Yet every {t}, {you}, must {way} {soon}. | {virtue} {hath} a {t}, {you}, and {who} {deed:eth} it.
@agree
True, {you}; a {t} is {one}. | Say not so, {you}: the {t} was {deed:en} {when}.
So it is, {you}; and so is {one}. | Of the {t}, {you}, I know this.
You speak of the {t}, {you}, as {who} speaks of {stuff}. | {you}, leave the {t}.
Well said of the {t}, {you}; but what of {one}? | And yet, {you}, I saw a {t} {deed} {one}.
The {t}, {you}, {way:s} {like}. | I cry {thee} mercy, {you}; the {t} is {mark}.
{you}, {who} once {deed:ed} a {t} for saying so.
@slur
{thing}-{headed} {vermin} | {mark} {vermin} | {temper} {vermin} | {thing}-{headed} {thing} | {folk}'s {vermin}
{temper}, {thing}-{headed} {vermin} | {great} {thing} of {stuff} | {stuff}-{headed} {vermin}
{vermin} of a {folk}
@like_a
a {mark} {thing} | {one} | no better than {one} | a {folk}'s {thing} | as {mark} as {thy} {kin}
@better
better | fatter | braver | cleaner | taller | wiser
@him_that
the {folk} | the {vermin} | the {temper} {folk} | the {kin}
@alone
Now am I alone with {one}, and {virtue} {way:s}.
To {deed} the {a=thing}, or not to own a {a}? That {way:s} in me. | So, they are gone, and {at} all is {mark}.
What a {slur} am I, that cannot {deed} {one}! | Come, {virtue}; sit {at}.
The {thing:pl} {way} {at}, and no one wakes but I. | I have the {lost}: none {knows} it but {one}.
Is this {one} I see {at}?
@oath
Saint {saint}'s {thing} | the {mark} {thing} of Saint {saint} | my {kin}'s {thing} | the {thing} of {town}
Saint {saint} and {num} {thing:pl} | all the {thing:pl} {at} | this {mark} {thing} | the {folk}'s {stuff}
@chorus
Speak, {you}, speak! | The {t}! the {t}! | We will {deed} the {t} {soon}! | Down with {foe}!
{virtue} and {stuff}! | Long live {you}! | To the {place}, to the {place}! | Away with the {t}!
No more {t:pl}! | Who {hath} the {lost}?
@couplet
So let the {thing} {way} beside the {r}, / And {virtue} {way} till {who} shall have the {s}.
Come, {deed} the {thing}; we meet before the {r}, / For {who} that {deed:s} {one} must keep the {s}.
Thus {way:s} the {thing} and thus goes out the {r}; / What {virtue} {deed:s} is paid for with the {s}.
Away, away! {one} is in the {r}, / And {virtue} waits for {virtue} with the {s}.
I'll {deed} the {thing}, and {deed} it for the {r}; / Let {who} {way}, and {virtue} take the {s}.
The {thing} may {way}, the {folk} may lose the {r}, / But {virtue} keeps {one} to {deed} the {s}.
Go, {mark} {thing}, and tell the {folk} the {r} / Was {deed:en} {softly} for the {temper} {s}.
@refrain
With a hey, and a ho, and a {mark} {thing} O, / And the {thing} {way:s} {softly} {at}.
Sing {thing}, sing {thing}, sing {stuff} and {thing}, / For {virtue} is {mark} {at}.
O the {mark} {thing} and the {mark} {thing}, / And nobody left to {deed} them.
Then fill up the {thing} with {stuff}, my boys, / And let the old {folk} {way}.
Fa la, the {thing}, fa la, the {thing}, / The {folk} will {deed} it in the spring.
@verse
When I was a {folk} and could {deed} the {r}, / My {kin} she gave me the {mark} {s};
There was a {folk} that {deed:ed} the {r}, / And {deed:ed} a {thing} and {deed:ed} the {s};
O where is the {folk} that {deed:ed} the {r}? | He {way:s} all night with his {thing} and {s};
I gave my love {one} and a {r}, / She gave me a {thing} and a {mark} {s};
The {thing} may {way} and so may the {r}, / But who will {deed} my {thing} and {s}?
@title
THE {lost} OF {town} | THE COMEDY OF THE {mark} {lost} | {num} {folk:pl} OF {town} | THE TRAGEDY OF {hero}
{virtue} {deed:en}, OR THE {lost} | A {lost} FOR {hero}
@scene
{town}. The {place}. | The {place} near {town}. | A {place}, by night. | Before the {place}.
Another part of the {place}.
@begin
In {town}, {when}, there lived {a_folk} named {hero}, who {deed:ed} {many} and feared {one}.
{hero} of {town} was {a_folk}, {temper} and {temper}, and {his} {kin} had been {a_folk} before {him}.
They still tell {at} how {hero} lost the {lost}, and what {who} did about it.
Nobody in {town} could {deed} {one} so {softly} as {hero}.
It began with {one}, {when}, {at}, where {hero} was {deed:ing} {many}.
@tale
{hero} {deed:ed} {one} and {deed:ed} {one}, and when the {folk:pl} came {he} {deed:ed} those too.
{he} went to {town} {when} and found {who} {deed:ing} {one} {at}.
The {place} was {mark}, and {one} {way:ed} {at}.
{at} stood {one}, and beside it {one}, and {who} sat between them {like}.
{who} {deed:ed} {one} {softly}, {like}, and {hero} watched until {hour}.
{hero} had never {deed:en} {one} before, but {he} {deed:ed} it {softly}.
Every {thing} in {town} was {mark}, and the {thing:pl} {way:ed} from {hour} to {hour}.
When the {thing} {way:ed}, {hero} took {one} and went to look for {who}.
There was {stuff} on the {thing}, and {stuff} on the {thing}, and no {stuff} at all for {who}.
{who} said that {who} had {deed:en} the {lost}, and {hero} believed it.
The {lost} was not {at}, nor {at}, nor in the {folk}'s {thing}.
Some said that {foe} had {deed:en} the {lost}; others, that it had {way:ed} {when}.
{he} thought of {his} {kin}, who had {deed:en} {many} {at} and died of {virtue}.
It was {mark} and {mark}, and it {way:ed} {like}. | {he} was as {temper} as a {folk} and as {mark} as {one}.
{virtue} is {one}, {he} thought, and {virtue} is the {folk} that {deed:s} it.
{he} did not know that {who} had {deed:en} {one} {when}.
The {folk} and the {folk} {deed:ed} {many} together, and quarrelled about {one}.
{num} {folk:pl} came {at} with {many} and would not {deed} anything.
"{proverb:bare}," was a saying of {his} {kin}, and {he} {deed:ed} {one} by it.
That night {one} {way:ed} {at}, and {hero} lay awake and listened to the {thing:pl}.
In the morning {who} was gone, and so was {one} that {hero} {deed:ed}.
{who} would have {deed:en} {him}, if {one} had not {way:ed}.
So {hero} {deed:ed} {one}, as {who} had asked, and gave {one} to {other}.
{other} loved {hero} {like}, but {hero} loved {one} and would not hear of it.
Though {he} {deed:ed} {many}, {his} {virtue} {way:ed} {like}. | It is not every day that {who} {deed:s} {one}.
{foe} came to {town} with {num} {folk:pl} and {deed:ed} {one} {at}.
By {hour} the {thing:pl} had {way:ed}, the {folk:pl} had {deed:en} the {thing}, and {hero} was {temper} again.
{he} asked {who} for {one}, but was given {one}, and a {mark} {thing} besides.
{he} walked {at} with {one} under {his} arm and {virtue} in {his} heart.
{one} had been {deed:en} {when}, and still it {way:ed}.
Because {who} had {deed:en} the {a=thing}, {hero} had to {deed} a {mark} {a}.
What {he} wanted was {one}; what {he} had was {one}.
Nothing {way:ed}. Then {one} {way:ed}, and {who} cried out {at}.
The {folk:pl} of {town} are {temper} people, and {deed} their {thing:pl} at {hour}.
Between {hour} and {hour} {who} {deed:ed} {num} {thing:pl}, each more {mark} than the last.
{hero} {deed:ed} the {a=thing} once, and {deed:ed} it twice, and at last the {a} {way:ed}.
If {he} had {deed:en} {one} then, {virtue} would have been spared; but {he} {deed:ed} {one} instead.
When {clause}, {clause}. | {clause}, and {clause}. | {clause}, but {clause}, and {hero} {deed:ed} {one}.
While {clause}, {hero} {deed:ed} {one} {at}. | {hero} knew that {clause}, though {clause}.
Since {clause}, and {clause}, {he} {deed:ed} {one} {softly}.
It was said {at} that {clause}; {he} said only that {clause}.
Before {clause}, {he} had {deed:en} {many}; after that, {he} {deed:ed} nothing but {stuff}.
Either {clause}, or {clause}; {hero} could not tell which. | {clause}. {clause}. Then {hero} {deed:ed} {one}.
@said
said {x} | {x} said | said {x} {softly} | cried {x} | said {x}, {deed:ing} {one} | muttered {x}
said {x}, who was {temper} | {x} went on | said {x}, and {deed:ed} the {thing} | {x} whispered {at}
@asked
{x} asked | asked {x} | asked {x} {softly} | {x} wanted to know | cried {x} | asked {x}, {deed:ing} {one}
@ending
And so {hero} {deed:ed} the {lost} at last, and it {way:s} {at} to this day.
The {lost} was never found, but {hero} had {one} instead, and {other}, and {stuff} every Sunday.
{hero} died {num} years later, {at}, {deed:ing} {one}.
They were married on {day}, and {who} {deed:ed} {one} for them.
"""


def _read_rules(text: str) -> dict[str, list[str]]:
    rules: dict[str, list[str]] = {}
    for section in text.split("@")[1:]:
        name, body = section.split("\n", 1)
        rules[name] = [template.strip() for template in re.split(r"[|\n]", body) if template.strip()]
    return rules


RULES = _read_rules(RULES_TEXT)

# The two manners of speech. The plays say thou; the prose says you.
NEW = {
    "thou": "you",
    "thee": "you",
    "thy": "your",
    "thine": "your",
    "art": "are",
    "hast": "have",
    "dost": "do",
    "wilt": "will",
    "shalt": "shall",
    "hath": "has",
    "doth": "does",
    "est": "",
    "speak": "speak",
    "ere": "before",
    "prithee": "please",
    "wherefore": "why",
}
OLD = {word: word for word in NEW} | {"speak": "speakest"}

# What one says to another, and the rule by which the other answers.
REPLIES = {"ask": "answer", "bid": "obey", "mock": "retort", "tell": "wonder", "woo": "coy", "muse": "agree"}
ACTS = tuple(REPLIES)

IRREGULAR = {
    row.split()[0]: (row.split()[1], row.split()[2])
    for row in [
        "bleed bled bled",
        "break broke broken",
        "burn burnt burnt",
        "buy bought bought",
        "creep crept crept",
        "dig dug dug",
        "drink drank drunk",
        "fall fell fallen",
        "foretell foretold foretold",
        "forswear forswore forsworn",
        "hang hung hung",
        "hide hid hidden",
        "hold held held",
        "kneel knelt knelt",
        "light lit lit",
        "read read read",
        "ring rang rung",
        "rise rose risen",
        "sell sold sold",
        "set set set",
        "shear sheared shorn",
        "shine shone shone",
        "shrink shrank shrunk",
        "sleep slept slept",
        "sow sowed sown",
        "split split split",
        "stand stood stood",
        "steal stole stolen",
        "swear swore sworn",
        "swell swelled swollen",
        "wear wore worn",
        "weep wept wept",
        "bend bent bent",
        "write wrote written",
        "outshine outshone outshone",
    ]
}
PLURALS = {
    "gallows": "gallows",
    "dice": "dice",
    "goose": "geese",
    "sheaf": "sheaves",
    "loaf": "loaves",
    "wolf": "wolves",
    "tooth": "teeth",
    "fishwife": "fishwives",
    "midwife": "midwives",
}


@cache
def syllables(word: str) -> int:
    """A rough count: groups of vowels, without a silent e."""
    word = re.sub(r"[^a-z]", "", word.lower())
    voiced = re.sub(r"(?<=[^aeiouy])(?<![^aeiouy]l)(e|(?<![sxzcgh])es|(?<![td])ed)$", "", word)
    return max(1, len(re.findall(r"[aeiouy]+", voiced)))


def _plural(noun: str) -> str:
    if noun.endswith("man"):
        return noun[:-2] + "en"
    return PLURALS.get(noun) or _add(noun, "s")


def _add(word: str, ending: str) -> str:
    """The word with s, ed, ing, eth or est, spelt as English would."""
    if ending == "s":
        if re.search(r"[^aeiou]y$", word):
            return word[:-1] + "ies"
        return word + ("es" if re.search(r"(s|x|z|ch|sh|do|go)$", word) else "s")
    if word.endswith("e"):
        return word[:-1] + ending
    if re.search(r"[^aeiou]y$", word) and ending != "ing":
        return word[:-1] + "i" + ending
    if re.search(r"(^|[^aeiou]|qu)[aeiou][^aeiouwxy]$", word) and syllables(word) == 1:
        return word + word[-1] + ending
    return word + ending


@cache
def inflect(word: str, mood: str, old: bool) -> str:
    """The word in a mood: pl, s, ed, en (participle), ing, eth, est, or bare (with no full stop)."""
    if mood == "bare":
        return word.rstrip(".")
    if mood == "pl":
        return _plural(word)
    if not old:
        mood = {"eth": "s", "est": ""}.get(mood, mood)
    verb, *rest = word.split("-")  # kneel-to: it is the kneel that bends
    if mood in ("ed", "en"):
        verb = IRREGULAR[verb][mood == "en"] if verb in IRREGULAR else _add(verb, "ed")
    elif mood:
        verb = _add(verb, mood)
    return "-".join([verb, *rest])


SLOT = re.compile(r"\{(?:(\w+)=)?(\w+)(?::(\w+))?\}")
T = TypeVar("T")
NAMES = frozenset(MEN + WOMEN + LANDS + ["I", "I'll", "O", "Saint"])


class Writer:
    """Fills templates, from a stream of random numbers and what is known at the moment."""

    def __init__(self, seed: int, manner: Mapping[str, str]) -> None:
        # Only random() keeps its sequence from one version of Python to the next.
        self.roll = random.Random(seed).random
        self.manner = manner
        self.known: dict[str, str] = {}  # the facts of the story
        self.trades: Sequence[str] = tuple(TRADES)  # what the talk is about
        self.trade = ""  # what this sentence is about
        self.piles: dict[str, list[str]] = {}  # the templates not used yet

    def pick(self, items: Sequence[T]) -> T:
        return items[int(len(items) * self.roll())]

    def often(self, items: Sequence[T]) -> T:
        """Favours the front of the list, so that some words are common and many are rare."""
        return items[int(len(items) * self.roll() ** 2)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return [item for _, item in sorted(((self.roll(), item) for item in items), key=lambda pair: pair[0])]

    def word(self, kind: str, facts: Mapping[str, str]) -> str:
        for said in (facts, self.known, self.manner):
            if kind in said:
                return said[kind]
        if kind in RULES:
            return self.fill(self.pick(RULES[kind]), facts)
        if kind in WORDS:
            return self.often(WORDS[kind])
        if kind == "far":  # a thing from some other walk of life
            return self.thing(self.pick(tuple(TRADES)))
        trade = self.trade if self.roll() < 0.85 else self.pick(tuple(TRADES))
        return self.often(TRADE_WORDS[trade][kind])

    def fill(self, template: str, facts: Mapping[str, str]) -> str:
        kept: dict[str, str] = {}

        def slot(match: re.Match[str]) -> str:
            keep, kind, mood = match.groups()
            word = kept[kind] if kind in kept else self.word(kind, facts)
            if keep:
                kept[keep] = word
            return inflect(word, mood, self.manner is OLD) if mood else word

        return SLOT.sub(slot, template)

    def thing(self, trade: str) -> str:
        return self.often(TRADE_WORDS[trade]["thing"])

    def sentence(self, rule: str, **facts: str) -> str:
        """A sentence by a rule, about one of the trades the talk is about."""
        self.trade = self.pick(self.trades)
        pile = self.piles.setdefault(rule, [])
        if not pile:  # every template has its turn before one comes again
            pile += self.shuffled(RULES[rule])
        return polish(self.fill(pile.pop(), facts))


def polish(text: str) -> str:
    """The text with an before vowels, two words for kneel-to, and capitals where sentences begin."""
    text = re.sub(r"\b([Aa]) (?=(?!one|unicorn|usurer|eu|ewe)[aeiou]|hon|hour)", r"\1n ", text)
    text = re.sub(r"-(to|for)\b", r" \1", text)
    return re.sub(r'(^"?|[.?!] )([a-z])', lambda match: match[1] + match[2].upper(), text)


def lower(text: str) -> str:
    """The text as the rest of a longer sentence."""
    first = re.split(r"\W", text, maxsplit=1)[0]
    return text if first in NAMES else text[0].lower() + text[1:]


def verse(text: str, length: int) -> str:
    """Breaks a speech into lines of about so many syllables, at a stop where one is near."""
    lines: list[list[str]] = [[]]
    count = 0
    for word in text.split():
        beats = syllables(word)
        if count + beats > length + 1 or (count >= length - 2 and lines[-1][-1][-1] in ",.;:?!"):
            lines.append([])
            count = 0
        lines[-1].append(word)
        count += beats
    if len(lines) > 1 and count < 4:  # no line of one word at the end
        lines[-2:] = [lines[-2] + lines[-1]]
    return "\n".join(line[0][0].upper() + " ".join(line)[1:] for line in lines)


@dataclass(frozen=True)
class Player:
    name: str  # as in the heading
    calls: list[str]  # how others call them: each ends in the last word of the name
    trade: str
    tic: str
    oath: str
    length: int  # syllables in a line


# Who is in a play: name, what may go before its last word when others use it, syllables in a line.
# The common sort speak prose.
CAST = (
    ("{lord} of {land}", "my lord of|good|great|", 10),
    ("{lord} of {land}", "my lord of|good|proud|", 10),
    ("{man}", "sweet|gentle|good||", 10),
    ("{woman}", "sweet|fair|dear||", 10),
    ("{man}", "young|dear||", 10),
    ("{woman}", "sweet|gentle|my own||", 10),
    ("Lady {woman}", "Lady|my lady|", 10),
    ("Sir {man}", "Sir|noble|", 10),
    ("Widow {woman}", "Widow|good widow|", 16),
    ("Old {man}", "old|honest|", 16),
    ("First {task}", "good|Master|friend|", 16),
    ("Second {task}", "good|Master|friend|", 16),
    ("Messenger", "good|", 10),
)
ROMAN = ("I", "II", "III", "IV", "V")
LORDS = ("Duke", "Earl", "Count", "Baron")


class Playwright(Writer):
    """Writes one play after another; no two share a player, but for the Messenger."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, OLD)
        self.decks = {"man": self.shuffled(MEN), "woman": self.shuffled(WOMEN), "land": self.shuffled(LANDS)}
        self.tasks = self.shuffled(tuple(TRADES))
        self.refrain = ""  # of this play
        self.scene_trade = ""

    def cast(self) -> Iterator[Player]:
        task = self.tasks.pop()
        folk = self.pick(TRADE_WORDS[task]["folk"]).title()
        tics = self.shuffled(TICS)
        for heading, forms, length in CAST:
            drawn = {deck: cards.pop() for deck, cards in self.decks.items() if f"{{{deck}}}" in heading}
            name = self.fill(heading, drawn | {"lord": self.pick(LORDS), "task": folk})
            calls = [f"{form} {name.split()[-1]}".strip() for form in forms.split("|")]
            self.trade = task if folk in name else self.pick(tuple(TRADES))
            yield Player(name, calls, self.trade, tics.pop(), self.fill("{oath}", {}), length)

    def play(self, size: int) -> Iterator[str]:
        """The blocks of a play: its title, then scenes of speeches."""
        self.known = {"town": self.decks["land"].pop(), "other": "the Messenger"}
        players = list(self.cast())
        theme = self.pick(tuple(TRADES))
        self.known |= {
            "hero": "the " + players[0].name,
            "foe": "the " + players[1].name,
            "lost": self.thing(theme),
        }
        self.trades = (theme,)
        yield self.sentence("title").upper()
        self.refrain = self.song("refrain")
        written = 0
        for number in range(15):
            present = self.shuffled(players)
            present, absent = present[: 2 + int(4 * self.roll() ** 1.5)], present[5:]
            self.known["other"] = self.pick(absent).calls[0]
            self.scene_trade = self.pick((theme, present[0].trade, self.pick(tuple(TRADES))))
            self.trades = (self.scene_trade,)
            act, scene = ROMAN[number // 3], ROMAN[number % 3]
            yield f"ACT {act}. SCENE {scene}. " + self.sentence("scene")
            for block in self.scene(present, size * (number + 1) // 15 - written):
                written += len(block) + 2
                yield block

    def scene(self, present: list[Player], size: int) -> Iterator[str]:
        """Speeches to and fro until size is used up; then a couplet."""
        speaker, hearer = present[:2]
        topic, heard = self.thing(self.scene_trade), ""
        song = self.roll() < 0.3
        while size > 0:
            # The answer keeps to the topic it was given; then the talk may turn.
            if heard or self.roll() < 0.75:
                said = [self.sentence(REPLIES[heard], t=topic, you=self.pick(hearer.calls))] if heard else []
                said += [self.remark(speaker) for _ in range(int(5 * self.roll() ** 3.5))]
            else:
                said = [self.sentence("alone"), *(self.remark(speaker) for _ in range(5))]
            if self.roll() < 0.3:
                topic = self.known["lost"] if self.roll() < 0.2 else self.thing(self.scene_trade)
            if not heard or self.roll() < 0.85:
                heard = self.pick(ACTS)
                said.append(self.sentence(heard, t=topic, you=self.pick(hearer.calls)))
            else:
                heard = "muse"
            speech = verse(" ".join(said), speaker.length)
            if song and self.roll() < 0.12:
                song = False
                verses = [self.song("verse"), self.refrain, self.song("verse"), self.refrain]
                speech = "\n".join([speech, *verses])
            yield f"{speaker.name}:\n{speech}"
            size -= len(speech) + len(speaker.name) + 4
            if self.roll() < 0.03:
                yield f"All:\n{self.sentence('chorus', t=topic, you=speaker.calls[0])}"
            # Mostly the one spoken to answers; else another takes it up.
            others = [player for player in present if player not in (speaker, hearer)]
            speaker, hearer = self.pick(others) if others and self.roll() < 0.3 else hearer, speaker
        yield f"{speaker.name}:\n{self.song('couplet')}"

    def remark(self, speaker: Player) -> str:
        """Something said by the way, at times with the speaker's oath or tic."""
        self.trades = (self.scene_trade, self.scene_trade, speaker.trade, self.pick(tuple(TRADES)))
        text = self.sentence("proverb" if self.roll() < 0.12 else "say")
        chance = self.roll()
        if chance < 0.07:
            return f"By {speaker.oath}, {lower(text)}"
        if chance < 0.17 and text.endswith("."):
            return f"{text[:-1]}, {speaker.tic}."
        return text.replace(", ", f", {speaker.tic}, ", 1) if chance < 0.25 else text

    def song(self, rule: str) -> str:
        """Lines by a rule, whose last words may rhyme."""
        r, s = self.shuffled(self.pick(RHYMES))[:2]
        return "\n".join(polish(line) for line in self.sentence(rule, r=r, s=s).split(" / "))


class Narrator(Writer):
    """Tells tales of the same world, one paragraph at a time."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, NEW)

    def tale(self) -> Iterator[str]:
        hero, other = self.pick(MEN), self.pick(WOMEN)
        he, him, his = "he", "him", "his"
        if self.roll() < 0.5:
            hero, other = other, hero
            he, him, his = "she", "her", "her"
        theme = self.pick(tuple(TRADES))
        self.trades = (theme, theme, self.pick(tuple(TRADES)), self.pick(tuple(TRADES)))
        self.known = {
            "hero": hero,
            "other": other,
            "he": he,
            "him": him,
            "his": his,
            "lost": self.thing(theme),
            "town": self.pick(LANDS),
            "foe": f"the {self.pick(LORDS)} of {self.pick(LANDS)}",
            "a_folk": "a " + self.often(TRADE_WORDS[theme]["folk"]),
        }
        yield " ".join([self.sentence("begin"), *self.telling()])
        for _ in range(4 + int(8 * self.roll())):
            yield " ".join(self.telling())
            if self.roll() < 0.5:
                yield from self.talk(hero, other, self.thing(theme))
        yield " ".join([*self.telling(), self.sentence("ending")])

    def telling(self) -> list[str]:
        return [self.sentence("tale") for _ in range(2 + int(6 * self.roll()))]

    def talk(self, speaker: str, hearer: str, topic: str) -> Iterator[str]:
        """A few turns of question and answer, each in a paragraph of its own."""
        heard = ""
        third = self.pick(MEN + WOMEN)
        for _ in range(2 + int(4 * self.roll())):
            said = [self.sentence(REPLIES[heard], t=topic, you=hearer, other=third)] if heard else []
            if self.roll() < 0.3:
                said.append(self.sentence("say", other=third))
            heard = self.pick(ACTS)
            said.append(self.sentence(heard, t=topic, you=hearer, other=third))
            speech = re.sub(r"\.$", ",", " ".join(said))
            tag = lower(self.sentence("asked" if speech[-1] == "?" else "said", x=speaker))
            yield f'"{speech}" {tag}.'
            speaker, hearer = hearer, speaker


def plays(seed: int = 1, size: int = 260_000, count: int = 9) -> str:
    """Up to nine plays, of about size bytes in all, laid out as Tiny Shakespeare is."""
    playwright = Playwright(seed)
    return "\n\n".join(block for _ in range(count) for block in playwright.play(size // count)) + "\n"


def prose(seed: int = 1, size: int = 1_200_000) -> str:
    """Tales, of about size bytes in all, told in plain modern English."""
    narrator = Narrator(seed)
    paragraphs: list[str] = []
    while size > 0:
        tale = list(narrator.tale())
        paragraphs += tale
        size -= sum(len(paragraph) + 2 for paragraph in tale)
    return "\n\n".join(paragraphs) + "\n"
