"""What rule lines are composed of: concepts, each a few lines of the pattern language (`patterns.py`)."""

CONCEPTS: dict[str, tuple[str, ...]] = {
    # How something is asked for: a request, a wish, a hope, an offer of oneself.
    "ask": (
        "@request",
        "please|kindly",
        "@can ~1 i|we|my",
        "@can it be",
        "any|is|a|some|slight|slightest ~2 chance|possibility|hope|odds|way",
        "possible|okay|ok|alright|cheeky|rude|inappropriate|appropriate|much|pushy|presumptuous|weird|line ~2 to|if"
        "|for",
        "i|we ~3 @wants|willing|ready|prepared|looking|seeking",
        "i ~1 am|be ~2 after",
        "wonder|wondering|hoping|grateful|appreciate|obliged|thankful|delighted|glad|honoured|honored|curious",
        "let me know|feel free",
        "would be ~2 great|amazing|lovely|wonderful|fantastic|awesome|nice|kind|good|super|perfect|brilliant",
        "mean ~3 world|lot",
        "jump|bite|kill|die ~1 at|for|your|to",
        "my ~1 goal|aim|hope|ambition|plan|wish|dream|intention is",
        "desperate|desperately|dying|keen|dream|wish",
        "do you ~1 think|reckon|suppose|feel",
        "comfortable|happy|willing|open|able|prepared ~1 to|with|about",
        "fancy|mind",
        "^ is|are|have|has|got|do|does|any",
        "^ ask|asking|find|inquire|enquire|see|check|request|get|discuss|raise|bring|mention|try|beg|push|remind",
    ),
    "if": (
        "if|should|when|whenever|case|once",
        "the moment",
        "soon as",
    ),
    # Who it is for.
    "seeker": ("@me|i|my|mine|myself", "@with_my"),
    "for_me": (
        "for|to|with @me|my|myself|mine",
        "like me|myself",
        "@offer ~1 @me",
        "i|we ~1 can|could|may|might",
    ),
    # Anybody at all: then it is the field that is spoken of.
    "somebody": ("someone|anyone|people|one|those|graduates|students|majors|beginners|newcomers", "a|an ~1 @newcomer"),
    "for_somebody": ("for|to ~1 <somebody>",),
    # A conversation, which may be asked for.
    "meeting": (
        "call|calls|chat|conversation|coffee|tea|lunch|talk|meeting|zoom",
        "interview ~1 about|on ~1 your|his|her|their ~1 career|work|path|profession|job|story|life|experience|field",
    ),
    "chance_to_talk": (
        "opportunity|opportunities|chance to|for|of ~3 talk|talking|meet|meeting|speak|ask|chat|hear|see|visit"
        "|conversation",
        "opportunity|opportunities|chance to|for|of ~3 learn|learning ~2 about|from|more|how",
        "slot|place|spot ~3 calendar|diary|schedule|agenda",
        "slot ~2 @when",
        "minute|minutes|hour|short|brief ~1 slot",
        "room|space|slot|spot !<in_your_org> ~3 for !<for_a_person> ~4 <meeting>|question|questions !<on_a_job>",
    ),
    "in_your_org": ("~2 on|at|in|with|within <your_org>",),
    "for_a_person": ("~2 @newcomer|@post|someone|somebody|anyone|people !'s",),
    # What a seeker does in a conversation or makes of it, which is no work for the contact.
    "own_doing": (
        "@softly? @softly? !<on_a_job> <deed>",
        "@softly? join @them ~1 for|at|on ~2 <meeting>|lunch|dinner|drink|event|walk|tour",
        "<overlook>",
    ),
    "deed": (
        "@converse|@prepare",
        "have|take|get|grab|share|steal|borrow ~4 <meeting>|@talked_of|lunch|dinner|drink|look|tour|word|minutes|hour"
        "|advice|feedback",
        "do|give|offer ~2 for|to? @you !over|during|part|full|on|in|at",
        "do|give|offer ~4 return|back",
        "offer <your_org> $",
        "do|use to @prepare",
        "do|use to !get|be|become|land|win|secure|earn|join",
        "do $",
        "~2 better|differently",
        "help @you? with|$",
    ),
    "overlook": ("be|have ~1 @overlooked", "not|never !only"),
    # Whether there is something, and whom a seeker may turn to.
    "is_there": (
        "is|are|be there",
        "would|will|might|could|may there be",
        "if|whether there is|are|might? be?",
    ),
    "i_can": ("i|we could|can|might|may|should",),
    "who_hires": (
        "~4 charge|hiring|hires|hire|recruits|recruiting|hr",
        "~4 looking|seeking|searching|needs|need|wants|want ~3 @worker|@newcomer",
        "~6 who is|are hiring|recruiting",
        "~4 where <i_can>",
        "'s|whose ~1 @place|@post",
        "with a|an ~1 @post to",
    ),
    "who_may_talk": (
        "to talk|speak|chat to|with $",
        "who ~4 talk|speak|chat|meet|tell|show|answer ~2 @me !<on_a_job>",
    ),
    "whom_to_ask": (
        "<somebody>|@newcomer|colleague|colleagues|person !@post !<who_hires> ~8 <i_can> <own_doing>",
        "<somebody>|@newcomer|colleague|colleagues|person !@post !<who_hires> ~4 <who_may_talk>",
    ),
    "on_offer": (
        "open|going|vacant|coming",
        "available ~6 on|at|in|with <your_org>",
        "~1 on|at|in|with <your_org> where",
    ),
    "something_to_do": (
        "anything|something !<on_offer> ~6 <i_can> <own_doing>",
        "chance|opportunity ~4 <i_can> <own_doing>",
    ),
    "place_to_meet": (
        "spot|place|slot|room|space|seat ~6 where|when|which <i_can> @softly? !<on_a_job> <at_a_place>",
        "spot|place|slot|room|space|seat ~2 that? <i_can> @softly? !<on_a_job> <at_a_place>",
    ),
    "at_a_place": ("ask|talk|speak|chat|meet|sit|wait|find|catch|call|ring|phone|buy|treat|hear|read",),
    # What a contact thinks of where they work.
    "thought_of": (
        "@softly? like|enjoy|love|dislike|hate|miss|regret|find|wish|admire|value !<to_be_done>",
        "especially|particularly|most|really like|enjoy|love|dislike|hate|miss|regret !<to_be_done>",
        "are|were ~2 proud|fond|surprised",
        "would ~2 change|changed|improve|miss|differently !<to_be_done>",
    ),
    "to_be_done": (
        "~6 me|fill|filled|filling|open|opening|soon|somebody|someone|do|take|give|giving|hand|handing|@newcomer",
    ),
    # Who decides, or can be told.
    "receiver": (
        "@gatekeeper",
        "@your|the|any|your|one|some ~2 @boss|bosses|colleague|colleagues|partners|team|teams|department|superiors"
        "|higher",
        "the|your ~3 @boss|@gatekeeper",
        "@your ~2 @org|friends|contacts|network|circle|connections|acquaintances|clients|people|folks",
        "whoever|whomever|recruiters|employers|internally|upstairs",
        "the ~1 right|relevant|concerned|appropriate ~1 person|people|hands|desk|department|team|eyes|authority|folks",
        "anyone|someone|people|person|those|folks|companies|managers|friends|contacts ~2 who|that|in|with ~5 @hiring"
        "|hires|hire|jobs|charge",
        "in charge|responsible ~4 hiring|recruiting|recruitment|hire",
        "anyone|someone ~1 who|that ~1 is|might|may|could ~3 interested|hiring|looking",
        "the ~1 decision maker|makers",
        "@boss who",
    ),
    "yours": (
        "@your_org",
        "@your ~2 @org",
        "@your ~1 side|end|way|place|behalf|employer|workplace|floor|site",
        "where you work|are",
        "you|here|there",
    ),
    "your_org": ("@your_org", "@your ~2 @org"),
    "contact": ("@contact", "@your ~2 @org|@boss"),
    "you_people": ("@contact", "@your|the ~2 @org|@boss", "anyone ~3 @your ~1 @org"),
    # What it is about.
    "job": ("@wanted|@opening|@post", "work", "trial ~1 shift|day|run|period", "a|some|any ~1 shift|shifts|hours"),
    "vacant": ("@opening", "vacancies|vacancy|headcount|openings"),
    # Verbs with the seeker as what is carried.
    "employ_me": (
        "@hire|bring|take|have|use @me ~1 in|on|onto|aboard|as|$",
        "@hire @me",
        "give|offer|grant|find|get|make @me ~3 @wanted|@post|work|shot|trial|start|break|offer|try",
    ),
    "work_with_you": (
        "work|working|start|starting|intern|interning|join|joining|train|training|apprentice|volunteer|volunteering"
        "|assist|assisting|help|helping ~2 at|with|for|in|under|alongside ~1 <yours>",
        "join|joining ~1 <yours>",
        "contribute|contributing|serve|serving|interview|interviewing ~2 at|with|for|in|to ~1 @your_org",
    ),
    "promote": ("@pass|@refer|pitch|sell|distribute|whisper|plug|present|vouch",),
    # What a conversation must not be about.
    "post_with_you": ("a|an|any|some|open|possible ~2 @wanted|@post ~1 at|in|on|with|within <your_org>",),
    "on_work_here": (
        "~12 <employ_me>|<work_with_you>|<post_with_you>",
        "~12 the ~2 job|position|role|opening|vacancy|internship|placement ~1 at|in|on|with|within <your_org>",
        "~4 about|discuss|regarding|concerning @wanted|@post ~1 at|in|on|with|within <your_org>",
    ),
    "on_being_hired": ("<on_work_here>", "~8 pitch|sell|present|introduce|prove|market myself"),
    "on_a_job": (
        "<on_work_here>",
        "~8 about|regarding|concerning|for a|an|any|some ~1 @post !like|in|that|where",
        "~8 for ~1 work|employment|money|pay|wage|wages|salary $",
        "~3 job interview|offer",
        "~12 as a|an ~1 intern|assistant|trainee|apprentice|employee|freelancer|helper|hand",
        "~12 and|then ~2 work|start|intern|join|help|earn",
        "~8 about|regarding|concerning joining|openings|vacancies",
        "~4 to|with @gatekeeper",
        "~4 part of <your_org>",
        "~2 my way in|into|onto",
        "talk you into",
        "show ~4 i can",
        "follow ~4 into|as|job",
        "bring|add to @your|the ~1 team|company|firm|department|business|group|lab",
        "bring my ~2 to @your|the ~1 team|company|firm|department|business|group|lab",
        "learn ~1 trade|craft|ropes",
        "learn|practise|improve|fix ~1 in|on|at|within|for <your_org>",
        "~2 what is|are ~1 open|available|going",
        "call|meet|contact|approach ~1 @gatekeeper",
        "see myself",
        "write ~2 for <your_org>",
    ),
    "hirer": (
        "@any_one|anyone|someone|who|companies|places|people|firms|friends|colleagues|contacts|clients|employers"
        "|anywhere",
        "@your|a|any ~2 @org|@circle|colleague|friend|client|contact",
    ),
    "hirer_needs": (
        "@hiring|recruiting|hires|hire",
        "need|needs|want|wants|require|requires|seeking|after|use ~3 @worker",
        "looking|look|search|searching for|to ~3 @worker|hire|recruit|fill|employ|take",
        "have|has|having|with|got ~3 @opening|@post|work ~1 for|$|open|going|available|that",
        "sponsor|sponsors ~2 visa|visas|permit|permits",
        "would|will|might|could|can|to ~1 take|hire|employ|have|give|use me",
        "need|needs|want|wants a|an|some|another",
    ),
    "have_leads": ("leads|tip|tips|pointers ~3 job|jobs|work|openings|hiring|vacancies|positions|roles",),
    # Pay.
    "how_much": ("@amount", "@amount ~2 money|cash|pay|profit|@own_money|@perk"),
    "your_business": ("the|your|a business|company|firm|practice|shop|studio|partnership|farm",),
}
"""Every concept by name; a concept may use another one."""

STORY = (
    "did @you|they|he|she|anyone|someone|your",
    "have|has @you ever ~2 @hire",
    "have|has @you ~2 hired|been|worked|changed|found|seen|considered",
    "were|was @you|it|the|your|there",
    "made you",
    "you got ~1 the|this|that|your|into|here|started|hired|a|where",
    "you ~1 had|took|accepted|started|landed|joined|applied|found|moved|left|did|were|held|hold|chose",
    "your ~1 own|first|previous|last|past|present|earlier",
    "your ~1 job|position|role|career|work|profession|field|employer|internship|path|story|journey",
)
"""The contact's own past and present work is what the conversation is for."""

GENERAL = (
    "of ~1 the|this|that|your ~1 field|industry|profession|trade",
    "^ would|is|are|could|can a|an ~2 internship|placement|traineeship|apprenticeship|role|job|referral",
    "in|into|within ~1 the|this|that|your|a|these ~2 field|fields|industry|profession|trade|sector|line|area|business"
    "|discipline|market|world|country|region|city",
    "in general|generally|usually|typically|normally|commonly|often|tend|tends|always",
    "people|applicants|candidates|newcomers|beginners|students|graduates|employers|companies|firms|organisations ~1 get"
    "|find|look|looking|do|have|make|ask|should|need|come|break|land|enter|start|usually|often|who|expect|apply|go",
    "do|does|would|should|can|could people|candidates|applicants|newcomers|employers|one|companies",
    "^ do|does|is|are|can|will|how|did ~1 @gatekeeper|hiring|recruiting|internships|interns|referrals|vacancies"
    "|openings",
    "mostly|straight|rule|worldwide|nationwide|nowadays",
    "in ~1 small|big|large|public|private ~2 firms|companies|sector|organisations|organizations",
    "help|helped|helps @you",
    "job|hiring|labour|labor market|process|practice|practices",
    "kind|kinds|sort|type|types of",
)
"""What is true of a field in general may be asked."""

LEARN = (
    "advice|advise|advises",
    "tips !about|on|who",
    "learn|understand ~3 about|from|more",
    "should|would i|one|someone ~2 say|know|read|learn|prepare|look|watch|avoid|expect|study|do|take|focus|ask",
    "tell|explain|show|describe|share|teach|walk|ask|understand|learn|hear|see|discuss|compare|talk|idea|sense"
    "|curious|wondering|wonder ~4 how|what|why|which|where",
    "know ~1 how|what|why|which|where",
    "learn|understand|discuss|decide|wonder|wondering ~4 whether",
    "ask|hear|learn|know|talk|see|understand|discuss|tell|curious ~2 about|through !me|us|my|any|jobs|openings"
    "|vacancies|<post_with_you>",
    "^ how !about|soon|quickly",
    "^ why|what|which|where|when|who|whom",
    "paper|thesis|essay|dissertation|article|study|report ~2 about|on",
    "already|brought|between|not|never|no longer ~3 @wanted|me",
    "like|as yours",
    "and|but how|why|what|which|where",
    "recommend|suggest ~3 book|books|course|courses|association|associations|reading|anything|read|magazine|podcast"
    "|that",
    "@review ~8 my",
    "my @papers ~6 @review",
    "feedback|critique|mock|practise|rehearse",
    "experience|experiences|thoughts|view|views|opinion|perspective|insight|story|stories|example|examples with|of"
    "|on|about",
    "@job_topic",
    "introduce|connect|put ~6 learn|career|story|path|profession|hear|moved|switched|changed",
    "not ~3 asking|looking|seeking|expect|here|after",
    "calendar|diary|schedule|chat|coffee|conversation|minutes|questions|question !<on_being_hired>",
    "a|the|our|this|phone|video|zoom ~1 call !<on_being_hired>",
)
"""Asking for advice, for what they know, for a conversation is what the conversation is for."""
